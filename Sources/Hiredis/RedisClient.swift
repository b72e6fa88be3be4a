import Reactor
import Synchronization

/// A ``RedisConnection`` for tasks: any number of them share it.
///
/// Pinned to its Reactor, so a task that runs there already calls without a thread change. Cancelling a task that waits
/// for a reply ends the wait at once; the command's place in the pipeline stays, and its late reply is dropped.
/// Must be closed by whoever made it.
package actor RedisClient {
    package nonisolated let reactor: Reactor
    private nonisolated let ownsReactor: Bool
    let connection: RedisConnection
    private var observers: [UInt64: AsyncStream<RedisHealth>.Continuation] = [:]
    private var lastObserver: UInt64 = 0

    package nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// - Parameter reactor: where to run; `nil` for a Reactor of its own, which ``close(timeout:)`` stops.
    /// - Throws: ``RedisError`` as ``RedisConnection/init(url:configuration:reactor:preamble:)`` does, and
    ///   `connectFailed` when the system has no descriptors left for a Reactor.
    package init(
        url: RedisURL,
        configuration: RedisConfiguration = RedisConfiguration(),
        preamble: RedisPreamble = .none,
        reactor: Reactor? = nil
    ) throws(RedisError) {
        try self.init(
            url: url, configuration: configuration, preamble: preamble, reactor: reactor, lookup: Resolver.systemLookup)
    }

    init(
        url: RedisURL, configuration: RedisConfiguration, preamble: RedisPreamble, reactor: Reactor?,
        lookup: @escaping Resolver.Lookup
    ) throws(RedisError) {
        self.reactor = try Self.resolve(reactor)
        ownsReactor = reactor == nil
        do throws(RedisError) {
            connection = try RedisConnection(
                url: url, configuration: configuration, reactor: self.reactor, preamble: preamble,
                resolver: Resolver(reactor: self.reactor, lookup: lookup))
        } catch {
            if reactor == nil { self.reactor.stop() }
            throw error
        }
    }

    private static func resolve(_ reactor: Reactor?) throws(RedisError) -> Reactor {
        if let reactor { return reactor }
        do throws(ReactorError) {
            return try Reactor()
        } catch {
            throw RedisError(.connectFailed, "There is no Reactor to run on: \(error).")
        }
    }

    /// Sends one command and waits for its reply.
    ///
    /// - Returns: what the server replied, errors included.
    /// - Throws: ``RedisError`` when there was no reply; `cancelled` when the task was cancelled.
    package func command(_ command: RedisCommand, timeout: Duration) async throws(RedisError) -> RedisValue {
        try await perform { connection, completion in
            connection.submit(command, deadline: .now + timeout, completion: completion)
        }
    }

    /// Runs a script; see ``RedisConnection/evaluate(_:keys:arguments:deadline:completion:)``.
    package func evaluate(
        _ script: RedisScript, keys: [String], arguments: [String], timeout: Duration
    ) async throws(RedisError) -> RedisValue {
        try await perform { connection, completion in
            connection.evaluate(
                script, keys: keys, arguments: arguments, deadline: .now + timeout, completion: completion)
        }
    }

    /// Sends commands in a row, and waits for all their results, which come in the same order.
    ///
    /// Cancelling the task makes `cancelled` of those without a reply.
    package func pipeline(_ commands: [RedisCommand], timeout: Duration) async -> [Result<RedisValue, RedisError>] {
        guard !Task.isCancelled else {
            return commands.map { .failure(RedisError(.cancelled, "\($0.name) was cancelled.")) }
        }
        let ticket = Ticket()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                ticket.ids = connection.submit(commands, deadline: .now + timeout) {
                    continuation.resume(returning: $0)
                }
            }
        } onCancel: {
            cancel(ticket)
        }
    }

    private func perform(
        _ start: (RedisConnection, @escaping (Result<RedisValue, RedisError>) -> Void) -> RequestID
    ) async throws(RedisError) -> RedisValue {
        guard !Task.isCancelled else { throw RedisError(.cancelled, "The task was cancelled before it sent anything.") }
        let ticket = Ticket()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                ticket.ids = [start(connection) { continuation.resume(returning: $0) }]
            }
        } onCancel: {
            cancel(ticket)
        }
        return try result.get()
    }

    /// No tombstone is needed: the ticket is filled in the same turn in which the handler was installed, and this comes
    /// to the Reactor in a later one.
    private nonisolated func cancel(_ ticket: Ticket) {
        reactor.execute {
            self.assumeIsolated { client in
                for id in ticket.ids { client.connection.cancel(id) }
            }
        }
    }

    /// What one call has submitted.
    private final class Ticket: Sendable {
        private let state = Mutex<[RequestID]>([])

        var ids: [RequestID] {
            get { state.withLock { $0 } }
            set { state.withLock { $0 = newValue } }
        }
    }

    // MARK: Health

    package var health: RedisHealth { connection.health }

    /// How many times a connection was made ready.
    package var generation: UInt64 { connection.generation }

    /// The present health and its changes, as far as the reader keeps up: it may miss all but the latest. Ends when the
    /// client is closed.
    package func healthChanges() -> AsyncStream<RedisHealth> {
        let (stream, continuation) = AsyncStream.makeStream(of: RedisHealth.self, bufferingPolicy: .bufferingNewest(1))
        continuation.yield(connection.health)
        guard connection.health != .closed else {
            continuation.finish()
            return stream
        }
        if connection.onHealthChange == nil {
            // Called on the Reactor, which is where this actor is.
            connection.onHealthChange = { [weak self] health in
                self?.assumeIsolated { $0.announce(health) }
            }
        }
        lastObserver += 1
        let id = lastObserver
        observers[id] = continuation
        continuation.onTermination = { [weak self] _ in
            guard let self else { return }
            self.reactor.execute { self.assumeIsolated { $0.observers[id] = nil } }
        }
        return stream
    }

    private func announce(_ health: RedisHealth) {
        for observer in observers.values { observer.yield(health) }
        guard health == .closed else { return }
        for observer in observers.values { observer.finish() }
    }

    /// Connects, and stays connected, without a command that asks for it.
    package func keepConnected(_ keep: Bool = true) {
        connection.keepConnected = keep
    }

    // MARK: The end

    /// Takes no more commands, waits for those under way, at most for `timeout`, and closes.
    ///
    /// Stops the Reactor if the client made it; must not be awaited by a task that runs on that Reactor.
    package nonisolated func close(timeout: Duration) async {
        await drain(timeout: timeout)
        if ownsReactor { await reactor.stopAndWait() }
    }

    private func drain(timeout: Duration) async {
        await withCheckedContinuation { continuation in
            connection.close(deadline: .now + timeout) { continuation.resume() }
        }
    }
}
