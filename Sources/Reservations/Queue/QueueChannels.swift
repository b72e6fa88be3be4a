import Hiredis
import Logging
import Reactor
import Synchronization

/// The subscriptions, on the Reactor that they belong to.
actor QueueChannels {
    private nonisolated let reactor: Reactor
    private let url: RedisURL
    private let configuration: RedisConfiguration
    private var subscriber: RedisSubscriber?
    private var isClosed = false
    private let logger: Logger
    /// Whether it was told that the server refuses.
    private let isRefused = Mutex(false)

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    init(url: RedisURL, configuration: RedisConfiguration, reactor: Reactor, logger: Logger) {
        self.logger = logger
        self.url = url
        self.configuration = configuration
        self.reactor = reactor
    }

    func announcements(on channel: String) -> AsyncStream<QueueProgress> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: QueueProgress.self, bufferingPolicy: .bufferingNewest(64))
        guard let subscriber = connected() else {
            continuation.finish()
            return stream
        }
        let id = subscriber.subscribe(to: channel) { [weak self] event in
            switch event {
            case .message(let payload):
                if let progress = payload.string.flatMap(QueueProgress.init(payload:)) { continuation.yield(progress) }
            case .interrupted(let error):
                guard error.isPermanent else { return }
                self?.refused(error)
                continuation.finish()
            case .subscribed: self?.isRefused.withLock { $0 = false }
            }
        }
        continuation.onTermination = { [weak self] _ in
            guard let self else { return }
            self.reactor.execute { self.assumeIsolated { $0.subscriber?.unsubscribe(id) } }
        }
        return stream
    }

    /// Once, whatever is subscribed to, until it is heard again.
    private nonisolated func refused(_ error: RedisError) {
        let isNew = isRefused.withLock { isRefused in
            defer { isRefused = true }
            return !isRefused
        }
        guard isNew, error.code != .closed else { return }
        logger.error(
            "The queue's server refuses to announce how far lines are served: who waits is told late",
            metadata: ["error": "\(error.message)"])
    }

    private func connected() -> RedisSubscriber? {
        guard !isClosed else { return nil }
        if subscriber == nil {
            // The URL was checked when the client was made.
            subscriber = try? RedisSubscriber(url: url, configuration: configuration, reactor: reactor)
        }
        return subscriber
    }

    func close() {
        isClosed = true
        subscriber?.closeNow()
    }
}

extension QueueProgress {
    /// Reads what `announce` has written.
    fileprivate init?(payload: String) {
        let numbers = payload.split(separator: " ").map { Int64($0) }
        guard numbers.count == 3, let served = numbers[0], let decided = numbers[1].flatMap({ Int(exactly: $0) }),
            let microseconds = numbers[2], decided >= 0, microseconds >= 0
        else { return nil }
        self.init(served: served, decided: decided, took: .microseconds(microseconds))
    }
}
