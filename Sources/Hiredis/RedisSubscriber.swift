import Reactor

/// What a subscription tells.
package enum RedisSubscriptionEvent: Sendable, Equatable {
    /// From now on messages arrive. Comes again after each reconnect: what was published in between is lost.
    case subscribed
    /// A payload: a string, or, on `__redis__:invalidate`, an array of keys or null.
    case message(RedisValue)
    /// No messages arrive until `subscribed` comes again. A permanent error says that it will not, by itself.
    case interrupted(RedisError)
}

/// Names one subscription of one subscriber.
package struct SubscriptionID: Hashable, Sendable {
    let rawValue: UInt64
}

/// Pub/sub, on a connection of its own that is kept up while there are subscriptions.
///
/// - Belongs to the Reactor, as ``RedisConnection`` does, and must be closed by whoever made it.
/// - RESP2 has no `PING` for a subscribed connection (hiredis 0.14 would abort on its reply), so a silent connection is
///   probed by subscribing again to a channel it has: the server confirms that each time.
package final class RedisSubscriber {
    private struct Channel {
        var handlers: [SubscriptionID: (RedisSubscriptionEvent) -> Void] = [:]
        var isConfirmed = false
    }

    private let url: RedisURL
    private let configuration: RedisConfiguration
    private let preamble: RedisPreamble
    private let probeInterval: Duration
    private let reactor: Reactor
    private lazy var connector = Connector(
        url: url, configuration: configuration, preamble: preamble, reactor: reactor,
        resolver: Resolver(reactor: reactor), owner: self)

    private var channels: [[UInt8]: Channel] = [:]
    private var lastID: UInt64 = 0
    private var timer: TimerID?
    private var hasHeard = false
    private var isProbing = false
    private var isClosed = false
    /// Channels left on the present connection: hiredis remembers them until the connection ends.
    private var staleChannels = 0
    private static let maximumStaleChannels = 4_096

    /// Told each change of ``health``.
    package var onHealthChange: ((RedisHealth) -> Void)?

    /// - Parameters:
    ///   - preamble: as for ``RedisConnection``; the place for `CLIENT TRACKING`'s partner to ask for its id.
    ///   - probeInterval: a connection that was silent for this long is probed, and replaced if it stays silent for as
    ///     long again. It costs one wake-up per interval.
    /// - Throws: ``RedisError`` `insecureCredentials`, `invalidURL`.
    package init(
        url: RedisURL,
        configuration: RedisConfiguration = RedisConfiguration(),
        reactor: Reactor,
        preamble: RedisPreamble = .none,
        probeInterval: Duration = .seconds(10)
    ) throws(RedisError) {
        try configuration.validate()
        try url.checkCredentials(unsafeAllowPlaintextPasswords: configuration.unsafeAllowPlaintextPasswords)
        guard probeInterval > .zero else {
            throw RedisError(.invalidURL, "probeInterval is \(probeInterval); it must be longer than zero.")
        }
        self.url = url
        self.configuration = configuration
        self.reactor = reactor
        self.preamble = preamble
        self.probeInterval = probeInterval
    }

    package var health: RedisHealth { connector.health }

    /// How many times a connection was made ready.
    package var generation: UInt64 { connector.generation }

    // MARK: Subscriptions

    /// Subscribes to a channel; `handler` is called on the Reactor, never before this has returned.
    package func subscribe(
        to channel: String, handler: @escaping (RedisSubscriptionEvent) -> Void
    ) -> SubscriptionID {
        reactor.checkIsolated()
        lastID += 1
        let id = SubscriptionID(rawValue: lastID)
        let name = Array(channel.utf8)
        guard !isClosed, !name.isEmpty else {
            let error = RedisError(
                isClosed ? .closed : .unsupportedCommand,
                isClosed ? "The subscriber is closed." : "A channel needs a name.", isPermanent: true)
            reactor.atEndOfTurn { handler(.interrupted(error)) }
            return id
        }
        let isNew = channels[name] == nil
        channels[name, default: Channel()].handlers[id] = handler
        if isNew {
            if connector.isReady { sendSubscribe(name) }
        } else if channels[name]?.isConfirmed == true {
            reactor.atEndOfTurn { [weak self] in self?.tell(id, on: name, .subscribed) }
        }
        if let refusal = connector.demand() {
            reactor.atEndOfTurn { [weak self] in self?.tell(id, on: name, .interrupted(refusal)) }
        }
        scheduleProbe()
        return id
    }

    /// Ends a subscription; its handler is not called again. The last one to end takes the connection down.
    package func unsubscribe(_ id: SubscriptionID) {
        reactor.checkIsolated()
        guard let name = channels.first(where: { $0.value.handlers[id] != nil })?.key else { return }
        channels[name]?.handlers[id] = nil
        guard channels[name]?.handlers.isEmpty == true else { return }
        channels[name] = nil
        staleChannels += 1
        if channels.isEmpty {
            cancelTimer()
            connector.release()
        } else if staleChannels > Self.maximumStaleChannels {
            connector.replace(because: RedisError(.connectionLost, "The subscriptions were renewed."))
        } else {
            var command = RedisCommand(verb: "UNSUBSCRIBE")
            command.append(bytes: name)
            _ = connector.send(command)
        }
    }

    /// The events of one channel, for a task. Ending the iteration, or cancelling the task, ends the subscription.
    ///
    /// - Parameter limit: how many events wait for a slow reader; older ones are dropped beyond that.
    package func events(of channel: String, limit: Int = 1_024) -> AsyncStream<RedisSubscriptionEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: RedisSubscriptionEvent.self, bufferingPolicy: .bufferingNewest(limit))
        let id = subscribe(to: channel) { event in
            continuation.yield(event)
            if case .interrupted(let error) = event, error.code == .closed { continuation.finish() }
        }
        let (reactor, receiver) = (reactor, Receiver(self))
        continuation.onTermination = { _ in
            reactor.execute { receiver.subscriber?.unsubscribe(id) }
        }
        return stream
    }

    /// Carries the subscriber through a stream's termination handler. Guard: `subscriber` is read on the Reactor only.
    private final class Receiver: @unchecked Sendable {
        private(set) weak var subscriber: RedisSubscriber?

        init(_ subscriber: RedisSubscriber) {
            self.subscriber = subscriber
        }
    }

    /// Closes; each subscription hears `interrupted` with `closed`.
    package func closeNow() {
        reactor.checkIsolated()
        guard !isClosed else { return }
        isClosed = true
        connector.close()
        cancelTimer()
        let handlers = channels.values.flatMap(\.handlers.values)
        channels = [:]
        for handler in handlers {
            handler(.interrupted(RedisError(.closed, "The subscriber is closed.", isPermanent: true)))
        }
    }

    // MARK: Messages

    private func sendSubscribe(_ name: [UInt8]) {
        var command = RedisCommand(verb: "SUBSCRIBE")
        command.append(bytes: name)
        _ = connector.send(command)
    }

    private func receive(_ value: RedisValue) {
        hasHeard = true
        // The guard has checked the shape, and marked confirmations; the switch is for the compiler and for old age.
        guard case .array(let parts) = value, parts.count == 3, case .bulk(let name) = parts[1] else { return }
        switch parts[0].string {
        case "message": tellAll(on: name, .message(parts[2]))
        case "+subscribe":
            connector.confirmHealthy()
            guard channels[name]?.isConfirmed == false else { return }
            channels[name]?.isConfirmed = true
            tellAll(on: name, .subscribed)
        default: break
        }
    }

    private func tellAll(on name: [UInt8], _ event: RedisSubscriptionEvent) {
        guard let channel = channels[name] else { return }
        for id in channel.handlers.keys { tell(id, on: name, event) }
    }

    /// Looks the handler up anew: one that was told before may have ended this subscription.
    private func tell(_ id: SubscriptionID, on name: [UInt8], _ event: RedisSubscriptionEvent) {
        channels[name]?.handlers[id]?(event)
    }

    private func interrupt(_ error: RedisError, onlyConfirmed: Bool) {
        for (name, channel) in channels where channel.isConfirmed || !onlyConfirmed {
            channels[name]?.isConfirmed = false
            for id in channel.handlers.keys { tell(id, on: name, .interrupted(error)) }
        }
    }

    // MARK: Liveness

    private func scheduleProbe() {
        guard timer == nil, !channels.isEmpty else { return }
        timer = reactor.schedule(at: reactor.now + probeInterval) { [weak self] in self?.probe() }
    }

    private func probe() {
        timer = nil
        defer { scheduleProbe() }
        guard connector.isReady else {
            // Waiting for a back-off, or turned away: that has had time to cool down.
            _ = connector.demand()
            return
        }
        if hasHeard {
            hasHeard = false
            isProbing = false
        } else if isProbing {
            isProbing = false
            connector.replace(
                because: RedisError(
                    .connectionLost, "\(connector.location) was silent for \(probeInterval) after a probe."))
        } else if let name = channels.keys.first {
            isProbing = true
            sendSubscribe(name)
        }
    }

    private func cancelTimer() {
        if let timer { reactor.cancel(timer) }
        timer = nil
    }
}

extension RedisSubscriber: ConnectorOwner {
    var wantsConnection: Bool { !channels.isEmpty }

    func connectorIsReady() {
        staleChannels = 0
        hasHeard = true
        isProbing = false
        for name in channels.keys { sendSubscribe(name) }
    }

    func connectorDidReceive(_ value: RedisValue) { receive(value) }

    func connectorDidLose(_ error: RedisError) { interrupt(error, onlyConfirmed: !error.isPermanent) }

    func connectorDidFail(_ error: RedisError) { if error.isPermanent { interrupt(error, onlyConfirmed: false) } }

    func connectorHealthDidChange(_ health: RedisHealth) { onHealthChange?(health) }
}
