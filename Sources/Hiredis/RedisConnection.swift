import Reactor

/// One pipelined connection to one server, kept up while there is demand.
///
/// - Belongs to the Reactor: every call is made there, every callback comes there. A completion is called exactly once,
///   and never before ``submit(_:deadline:completion:)-(RedisCommand,_,_)`` has returned.
/// - Commands are sent in the order of submission, those of one turn in one write. While there is no connection they
///   wait for one, until their deadline.
/// - Errors that the server replies with are replies: `.success(.error(...))`.
/// - Must be closed by whoever made it; it keeps itself alive until then.
package final class RedisConnection {
    private let url: RedisURL
    private let configuration: RedisConfiguration
    private let preamble: RedisPreamble
    private let reactor: Reactor
    private let resolver: Resolver
    private lazy var connector = Connector(
        url: url, configuration: configuration, preamble: preamble, reactor: reactor, resolver: resolver, owner: self)

    private var queue = RequestQueue()
    private var timer: (id: TimerID, deadline: ContinuousClock.Instant)?
    /// Scripts that the server said it does not have, until it has run one by its source.
    private var missingScripts: Set<RedisScript> = []
    private var isClosing = false
    private var drainCompletion: (() -> Void)?
    private var drainTimer: TimerID?

    /// Whether to connect, and reconnect, without a command that asks for it.
    package var keepConnected = false {
        didSet {
            reactor.checkIsolated()
            if keepConnected && !isClosing { _ = connector.demand() }
        }
    }

    /// Told each change of ``health``. Called wherever the change happens; must not block.
    package var onHealthChange: ((RedisHealth) -> Void)?

    /// - Throws: ``RedisError`` `insecureCredentials` for a password that would cross a network in the clear,
    ///   `invalidURL` for settings that make no sense.
    package convenience init(
        url: RedisURL,
        configuration: RedisConfiguration = RedisConfiguration(),
        reactor: Reactor,
        preamble: RedisPreamble = .none
    ) throws(RedisError) {
        try self.init(
            url: url, configuration: configuration, reactor: reactor, preamble: preamble,
            resolver: Resolver(reactor: reactor))
    }

    init(
        url: RedisURL, configuration: RedisConfiguration, reactor: Reactor, preamble: RedisPreamble,
        resolver: Resolver
    ) throws(RedisError) {
        try configuration.validate()
        try url.checkCredentials(unsafeAllowPlaintextPasswords: configuration.unsafeAllowPlaintextPasswords)
        self.url = url
        self.configuration = configuration
        self.reactor = reactor
        self.preamble = preamble
        self.resolver = resolver
    }

    package var health: RedisHealth { connector.health }

    /// How many times a connection was made ready: a change tells that one was replaced.
    package var generation: UInt64 { connector.generation }

    /// How many commands wait for a connection or a reply, abandoned ones included.
    package var pendingCount: Int { queue.count }

    /// Bytes received and not understood yet.
    package var bufferedBytes: Int { connector.currentLink?.unparsedBytes ?? 0 }

    /// How often the present link handed bytes to its socket.
    var writeCount: Int { connector.currentLink?.writeCount ?? 0 }

    // MARK: Commands

    /// Sends a command as soon as it can be sent.
    ///
    /// - Parameters:
    ///   - deadline: when to give up waiting. A command that was sent keeps its place; its late reply is dropped.
    ///   - completion: gets the reply, or a ``RedisError`` that says whether the server may have executed the command.
    @discardableResult
    package func submit(
        _ command: RedisCommand,
        deadline: ContinuousClock.Instant,
        completion: @escaping (Result<RedisValue, RedisError>) -> Void
    ) -> RequestID {
        submit(.command(command), deadline: deadline, completion: completion)
    }

    /// Sends several commands in a row, with nothing between them unless the connection changes; `completion` gets the
    /// results in the same order when the last one is there.
    @discardableResult
    package func submit(
        _ commands: [RedisCommand],
        deadline: ContinuousClock.Instant,
        completion: @escaping ([Result<RedisValue, RedisError>]) -> Void
    ) -> [RequestID] {
        guard !commands.isEmpty else {
            reactor.atEndOfTurn { completion([]) }
            return []
        }
        let gathered = PipelineResults(count: commands.count, completion: completion)
        return commands.enumerated().map { index, command in
            submit(.command(command), deadline: deadline) { gathered.set($0, at: index) }
        }
    }

    /// Runs a script by its digest, or by its source when the server does not have it.
    ///
    /// In that case it is sent twice, the second time behind whatever was submitted meanwhile. Where order matters,
    /// load the script in the preamble. `arguments` is evaluated each time it is sent, when its connection is known: what
    /// they say of the server is true of the process that gets them.
    @discardableResult
    package func evaluate(
        _ script: RedisScript,
        keys: [String],
        arguments: @escaping @autoclosure () -> [String],
        deadline: ContinuousClock.Instant,
        completion: @escaping (Result<RedisValue, RedisError>) -> Void
    ) -> RequestID {
        submit(.script(script, keys: keys, arguments: arguments), deadline: deadline, completion: completion)
    }

    /// Completes the command with `cancelled`, at once. If it was sent, the server executes it all the same.
    package func cancel(_ id: RequestID) {
        reactor.checkIsolated()
        guard let request = queue.retire(id) else { return }
        let error = RedisError(
            .cancelled, "\(request.name) was cancelled.", mayHaveBeenExecuted: request.sentAt != nil)
        request.complete(.failure(error))
        settle()
    }

    private func submit(
        _ work: Request.Work,
        deadline: ContinuousClock.Instant,
        completion: @escaping (Result<RedisValue, RedisError>) -> Void
    ) -> RequestID {
        reactor.checkIsolated()
        let request = Request(id: queue.makeID(), work: work, deadline: deadline, completion: completion)
        if let error = objection(to: request) {
            reactor.atEndOfTurn { request.complete(.failure(error)) }
            return request.id
        }
        queue.add(request)
        arm(at: deadline)
        if connector.isReady {
            sendWaiting()
        } else if let refusal = connector.demand() {
            _ = queue.retire(request.id)
            reactor.atEndOfTurn { request.complete(.failure(refusal)) }
        }
        return request.id
    }

    private func objection(to request: Request) -> RedisError? {
        if isClosing { return closedError(sent: false) }
        if case .command(let command) = request.work, command.changesReplies {
            return RedisError(.unsupportedCommand, "\(command.name) cannot run on a shared connection.")
        }
        if queue.count >= configuration.maximumPending {
            return RedisError(
                .overloaded,
                "\(queue.count) commands wait for \(connector.location) already; the limit is maximumPending.")
        }
        if request.deadline <= reactor.now { return timeOutError(of: request) }
        return nil
    }

    private func sendWaiting() {
        while connector.isReady, let request = queue.popUnsent() {
            send(request)
        }
    }

    private func send(_ request: Request) {
        let sent =
            switch request.work {
            case .command(let command): connector.send(command)
            case .script(let script, let keys, let arguments):
                {
                    if missingScripts.contains(script) { request.isBySource = true }
                    return connector.send(
                        script.command(bySource: request.isBySource, keys: keys, arguments: arguments()))
                }()
            }
        if sent {
            queue.noteSent(request, at: reactor.now)
        } else {
            queue.pushBackUnsent(request)
        }
    }

    // MARK: Replies

    /// Below hiredis: may send, may not free.
    private func receive(_ value: RedisValue) {
        guard let request = queue.popAnswered() else {
            return connector.replace(
                because: RedisError(.protocolViolation, "\(connector.location) sent a reply too many."))
        }
        connector.confirmHealthy()
        if case .script(let script, _, _) = request.work, !request.isAbandoned {
            if value.serverError?.code == "NOSCRIPT", !request.isBySource {
                missingScripts.insert(script)
                return send(request)
            }
            if request.isBySource { missingScripts.remove(script) }
        }
        if queue.retire(request.id) != nil { request.complete(.success(value)) }
        settle()
    }

    private func lose(_ error: RedisError) {
        missingScripts.removeAll()
        for request in queue.takeSent() where queue.retire(request.id) != nil {
            request.complete(.failure(error.told(sent: true)))
        }
        if case .refused = connector.health { failUnsent(with: error) }
        settle()
    }

    private func failUnsent(with error: RedisError) {
        for request in queue.takeUnsent() where queue.retire(request.id) != nil {
            request.complete(.failure(error.told(sent: false)))
        }
    }

    // MARK: Time

    /// Makes sure that ``timeIsUp()`` is called at `deadline`, or before. One timer serves all commands: it is moved
    /// when an earlier deadline comes, and stopped when nobody waits; otherwise it may go off for one that is done.
    private func arm(at deadline: ContinuousClock.Instant) {
        if let timer {
            guard deadline < timer.deadline else { return }
            reactor.cancel(timer.id)
        }
        timer = (reactor.schedule(at: deadline) { [weak self] in self?.timeIsUp() }, deadline)
    }

    private func timeIsUp() {
        timer = nil
        let now = reactor.now
        let expired = queue.expired(at: now).filter { queue.retire($0.id) != nil }.map { ($0, timeOutError(of: $0)) }
        // Before anybody is told: who repeats a request at once must not have it sent over the connection that is given up.
        if let stalled = stallInstant(givenUp: expired.map(\.0.id)), stalled <= now {
            connector.replace(
                because: RedisError(
                    .connectionLost,
                    "\(connector.location) left a command unanswered for \(configuration.stallBound) (stallBound); "
                        + "the connection was replaced."))
        }
        for (request, error) in expired { request.complete(.failure(error)) }
        if let next = queue.earliestDeadline { arm(at: next) }
        settle()
    }

    /// When an abandoned command at the head of the pipeline will have been unanswered for too long.
    ///
    /// - Parameter givenUp: commands that are about to be told that their time is up.
    private func stallInstant(givenUp: [RequestID] = []) -> ContinuousClock.Instant? {
        guard let oldest = queue.oldestSent, let sentAt = oldest.sentAt else { return nil }
        guard oldest.isAbandoned || givenUp.contains(oldest.id) else { return nil }
        return sentAt + configuration.stallBound
    }

    /// After anything that may have changed what there is to wait for.
    private func settle() {
        if let stalled = stallInstant() {
            arm(at: stalled)
        } else if queue.liveCount == 0, let timer {
            reactor.cancel(timer.id)
            self.timer = nil
        }
        if drainCompletion != nil && (queue.liveCount == 0 || isHopeless) { closeNow() }
    }

    private func timeOutError(of request: Request) -> RedisError {
        if request.sentAt != nil {
            return RedisError(
                .timedOut, "\(connector.location) did not reply to \(request.name) in time.", mayHaveBeenExecuted: true)
        }
        guard case .backingOff(_, let reason) = connector.health else {
            return RedisError(.timedOut, "\(request.name) could not be sent to \(connector.location) in time.")
        }
        return RedisError(
            .timedOut, "\(request.name) could not be sent in time. \(reason.message)", serverError: reason.serverError)
    }

    // MARK: The end

    /// Gives up the present connection, if there is one; it is replaced if it is needed.
    package func replaceConnection(because reason: RedisError) {
        reactor.checkIsolated()
        connector.replace(because: reason)
    }

    /// Takes no more commands, waits for those under way until `deadline`, and closes.
    package func close(deadline: ContinuousClock.Instant, completion: @escaping () -> Void) {
        reactor.checkIsolated()
        if case .closed = connector.health {
            reactor.atEndOfTurn(completion)
            return
        }
        isClosing = true
        let earlier = drainCompletion
        drainCompletion = {
            earlier?()
            completion()
        }
        guard queue.liveCount > 0, !isHopeless else {
            reactor.atEndOfTurn { self.closeNow() }
            return
        }
        if drainTimer == nil { drainTimer = reactor.schedule(at: deadline) { self.closeNow() } }
    }

    /// Whether all that waits does so for a server that was away a moment ago: nobody holds up an end for that.
    private var isHopeless: Bool {
        guard case .backingOff = connector.health else { return false }
        return queue.oldestSent == nil
    }

    /// Closes. Whatever waits is completed with `closed`.
    package func closeNow() {
        reactor.checkIsolated()
        isClosing = true
        connector.close()
        if let drainTimer { reactor.cancel(drainTimer) }
        drainTimer = nil
        let drained = drainCompletion
        drainCompletion = nil
        for request in queue.takeSent() where queue.retire(request.id) != nil {
            request.complete(.failure(closedError(sent: true)))
        }
        for request in queue.takeUnsent() where queue.retire(request.id) != nil {
            request.complete(.failure(closedError(sent: false)))
        }
        settle()
        drained?()
    }

    private func closedError(sent: Bool) -> RedisError {
        RedisError(.closed, "The connection to \(connector.location) is closed.", mayHaveBeenExecuted: sent)
    }
}

extension RedisConnection: ConnectorOwner {
    var wantsConnection: Bool { keepConnected && !isClosing || queue.hasUnsent }

    func connectorIsReady() { sendWaiting() }

    func connectorDidReceive(_ value: RedisValue) { receive(value) }

    func connectorDidLose(_ error: RedisError) { lose(error) }

    func connectorDidFail(_ error: RedisError) {
        if case .refused = connector.health { failUnsent(with: error) }
        settle()
    }

    func connectorHealthDidChange(_ health: RedisHealth) { onHealthChange?(health) }
}

/// Gathers the results of one pipeline.
private final class PipelineResults {
    private var results: [Result<RedisValue, RedisError>?]
    private var missing: Int
    private let completion: ([Result<RedisValue, RedisError>]) -> Void

    init(count: Int, completion: @escaping ([Result<RedisValue, RedisError>]) -> Void) {
        results = Array(repeating: nil, count: count)
        missing = count
        self.completion = completion
    }

    func set(_ result: Result<RedisValue, RedisError>, at index: Int) {
        results[index] = result
        missing -= 1
        if missing == 0 { completion(results.compactMap(\.self)) }
    }
}
