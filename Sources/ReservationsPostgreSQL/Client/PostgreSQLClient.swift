import Reactor
import Synchronization

/// PostgreSQL for tasks: a pool of connections on one Reactor.
///
/// Pinned to its Reactor, on which connections live, so a call changes threads once each way whatever it takes. Must be
/// closed by whoever made it.
package actor PostgreSQLClient {
    package nonisolated let reactor: Reactor
    package nonisolated let configuration: ClientConfiguration
    private nonisolated let ownsReactor: Bool
    private let pool: Pool

    package nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    /// - Parameters:
    ///   - reactor: where to run; `nil` for a Reactor of its own, which ``close()`` stops.
    ///   - onNotice: gets the server's notices, on the Reactor.
    package init(
        _ configuration: ClientConfiguration, reactor: Reactor? = nil,
        onNotice: (@Sendable (String) -> Void)? = nil
    ) throws(DatabaseError) {
        try self.init(configuration, reactor: reactor, lookup: Resolver.systemLookup, onNotice: onNotice)
    }

    init(
        _ configuration: ClientConfiguration, reactor: Reactor?, lookup: @escaping Resolver.Lookup,
        onNotice: (@Sendable (String) -> Void)? = nil
    ) throws(DatabaseError) {
        self.configuration = configuration
        ownsReactor = reactor == nil
        self.reactor = try Self.resolve(reactor)
        pool = Pool(configuration: configuration, reactor: self.reactor, lookup: lookup, onNotice: onNotice)
    }

    private static func resolve(_ reactor: Reactor?) throws(DatabaseError) -> Reactor {
        if let reactor { return reactor }
        do throws(ReactorError) {
            return try Reactor(name: "postgresql")
        } catch {
            throw DatabaseError(.connectFailed, "There is no Reactor to run on: \(error).")
        }
    }

    // MARK: One round trip

    /// Runs the statements as one transaction in one round trip, unless they have a `BEGIN` and a `COMMIT` of their own.
    ///
    /// - Parameters:
    ///   - mayCommit: whether an answer that gets lost leaves the effect unknown: false for what only reads.
    ///   - timeout: how long it may take once it has a connection; by default as configured.
    package func run(
        _ statements: [Statement], mayCommit: Bool, timeout: Duration? = nil
    ) async throws(DatabaseError) -> [Rows] {
        let timeout = timeout ?? configuration.answerTimeout
        try Self.check(statements)
        return try await perform { pool, call, completion in
            pool.perform(statements, mayCommit: mayCommit, timeout: timeout, call, completion)
        }
    }

    /// Runs one statement as a transaction of its own.
    package func query(
        _ sql: String, _ parameters: [String?] = [], mayCommit: Bool = true
    ) async throws(DatabaseError) -> Rows {
        let results = try await run([Statement(sql, parameters)], mayCommit: mayCommit)
        guard let rows = results.last else { throw DatabaseError(.failed, "PostgreSQL answered nothing.") }
        return rows
    }

    // MARK: Several round trips

    /// Runs `body` between `BEGIN` and `COMMIT` on one connection. An error, also cancellation, ends in `ROLLBACK`.
    ///
    /// - Parameter timeout: how long each round trip may take; by default as configured.
    package nonisolated func withTransaction<Answer: Sendable>(
        timeout: Duration? = nil, _ body: @Sendable (Transaction) async throws(DatabaseError) -> Answer
    ) async throws(DatabaseError) -> Answer {
        let transaction = Transaction(
            client: self, connection: try await acquire(), timeout: timeout ?? configuration.answerTimeout)
        do throws(DatabaseError) {
            _ = try await transaction.run("BEGIN")
            let answer = try await body(transaction)
            guard !Task.isCancelled else { throw DatabaseError(.cancelled, "The task was cancelled.") }
            try await transaction.commit()
            await release(transaction.connection)
            return answer
        } catch {
            await rollBack(transaction.connection)
            throw error
        }
    }

    private func acquire() async throws(DatabaseError) -> PoolMachine.ConnectionID {
        try await perform { pool, call, completion in
            pool.acquire(call, deadline: .now + self.configuration.acquireTimeout, completion: completion)
        }
    }

    private func release(_ id: PoolMachine.ConnectionID) {
        pool.release(id)
    }

    /// Whatever happened, and although the task may be cancelled: the connection comes back clean, or not at all.
    private func rollBack(_ id: PoolMachine.ConnectionID) async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let batch = Batch(
                statements: [Statement("ROLLBACK")], mayCommit: false, deadline: .now + Session.cancelGrace
            ) { _ in continuation.resume() }
            pool.run(batch, on: id, Pool.Call())
        }
        pool.release(id)
    }

    private static func check(_ statements: [Statement]) throws(DatabaseError) {
        guard !statements.contains(where: \.holdsZeroByte) else {
            throw DatabaseError(.failed, "A text with a zero byte cannot be stored.")
        }
    }

    fileprivate func run(
        _ statements: [Statement], on id: PoolMachine.ConnectionID, mayCommit: Bool, timeout: Duration
    ) async throws(DatabaseError) -> [Rows] {
        try Self.check(statements)
        return try await perform { pool, call, completion in
            let deadline = ContinuousClock.now + timeout
            pool.run(
                Batch(statements: statements, mayCommit: mayCommit, deadline: deadline, completion: completion), on: id,
                call)
        }
    }

    // MARK: Between callbacks and tasks

    private func perform<Answer: Sendable>(
        _ start: (Pool, Pool.Call, @escaping (Result<Answer, DatabaseError>) -> Void) -> Void
    ) async throws(DatabaseError) -> Answer {
        guard !Task.isCancelled else {
            throw DatabaseError(.cancelled, "The task was cancelled before it asked anything.")
        }
        let ticket = Ticket(Pool.Call())
        let result: Result<Answer, DatabaseError> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                start(pool, ticket.call) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            // Comes to the Reactor in a later turn than the call was made in.
            reactor.execute { self.assumeIsolated { $0.pool.cancel(ticket.call) } }
        }
        return try result.get()
    }

    /// Guard: the call is looked into on the Reactor only.
    private final class Ticket: @unchecked Sendable {
        let call: Pool.Call

        init(_ call: Pool.Call) {
            self.call = call
        }
    }

    // MARK: Life

    /// Opens the least number of connections, without anybody who asks for one.
    package func start() {
        pool.start()
    }

    package struct Counts: Sendable, Hashable {
        /// Open ones, and those that are being opened.
        package let connections: Int
        package let idle: Int
        package let waiters: Int
        /// Nobody waits, and all that there are work.
        package var isBusy: Bool { connections > 0 && idle == 0 && waiters == 0 }
    }

    package var counts: Counts {
        Counts(connections: pool.connectionCount, idle: pool.idleCount, waiters: pool.waiterCount)
    }

    /// Who waits for the host's address.
    var lookupCount: Int { pool.lookupCount }

    /// Takes no more work, waits for what is under way, and closes.
    ///
    /// Stops the Reactor if the client made it; must not be awaited by a task that runs on that Reactor.
    package nonisolated func close() async {
        await drain()
        if ownsReactor { await reactor.stopAndWait() }
    }

    private func drain() async {
        await withCheckedContinuation { continuation in
            pool.close { continuation.resume() }
        }
    }
}

/// One connection between `BEGIN` and `COMMIT`.
package struct Transaction: Sendable {
    fileprivate let client: PostgreSQLClient
    fileprivate let connection: PoolMachine.ConnectionID
    fileprivate let timeout: Duration

    /// Runs one statement.
    package func run(_ sql: String, _ parameters: [String?] = []) async throws(DatabaseError) -> Rows {
        let results = try await client.run(
            [Statement(sql, parameters)], on: connection, mayCommit: false, timeout: timeout)
        guard let rows = results.last else { throw DatabaseError(.failed, "PostgreSQL answered nothing.") }
        return rows
    }

    /// Runs several statements in one round trip.
    package func run(_ statements: [Statement]) async throws(DatabaseError) -> [Rows] {
        try await client.run(statements, on: connection, mayCommit: false, timeout: timeout)
    }

    /// A connection that breaks from here on leaves the effect unknown.
    fileprivate func commit() async throws(DatabaseError) {
        let results = try await client.run([Statement("COMMIT")], on: connection, mayCommit: true, timeout: timeout)
        // The server's answer to a `COMMIT` after an error is no error.
        guard results.last?.isRollback == false else {
            throw DatabaseError(.failed, "The transaction was rolled back, for one of its statements had failed.")
        }
    }
}
