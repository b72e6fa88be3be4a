import Reservations

/// Reservations in PostgreSQL 14 or newer.
///
/// ```swift
/// let store = try PostgreSQLReservationStore(url: "postgresql://shop@db.example.com/shop?sslmode=verify-full")
/// try await store.migrate()
/// let service = try ReservationService(store: store, logger: logger)
/// ```
///
/// Every method is one transaction in one round trip: a function in the database, which locks, decides and writes without a
/// network between its steps. Nobody waits for a row longer than somebody else's statement and commit take. What the schema
/// refuses (overselling, a seat twice, resolving twice, a ledger that is rewritten) it refuses for whoever writes.
public final class PostgreSQLReservationStore: ReservationStore {
    /// How the store connects, and how long it waits.
    public struct Configuration: Sendable {
        /// The schema in which the tables are; made by ``PostgreSQLReservationStore/migrate()``. Default `reservations`. Not one
        /// of PostgreSQL's own (`pg_...`, `information_schema`), nor `$user`, which stands for another with each user.
        public var schema = "reservations"
        /// How many connections are kept although nobody needs them. Default 0.
        public var minimumConnections = 0
        /// How many connections there may be: at least 1. Default 10.
        ///
        /// Claims of the same item wait for its row in the database, each on a connection of its own. More than a few dozen
        /// make the server slower, not faster.
        public var maximumConnections = 10
        /// How many calls may wait for a connection at once; others fail with `StoreError.Code.busy`. Default 10,000.
        public var maximumWaiters = 10_000
        /// How long a call may wait for a connection. Default 10 s.
        public var acquireTimeout: Duration = .seconds(10)
        /// How long it may take to connect and log in. Default 5 s.
        public var connectTimeout: Duration = .seconds(5)
        /// How long a statement may take. Default 15 s.
        public var statementTimeout: Duration = .seconds(15)
        /// How long a statement may wait for a row; then `StoreError.Code.busy`. A repeated idempotency key waits as long
        /// for the first request with it; then `KeyProblem.inProgress`. Default 2 s.
        public var lockTimeout: Duration = .seconds(2)
        /// When connections are replaced. Default 30 min.
        public var connectionLifetime: Duration = .seconds(1800)
        /// How long ``PostgreSQLReservationStore/audit(grace:)`` may take; then `StoreError.Code.unavailable`. Default 10 min.
        public var auditTimeout: Duration = .seconds(600)

        /// The defaults.
        public init() {}

        func check() throws(StoreError) {
            try require(!schema.isEmpty && schema.utf8.count <= 63, "`schema` must have from 1 to 63 bytes.")
            try require(!schema.unicodeScalars.contains { $0.value < 0x20 }, "`schema` has a control character.")
            try require(
                schema != "$user" && schema != "information_schema" && !schema.hasPrefix("pg_"),
                "`schema` is a name that PostgreSQL keeps for itself.")
            try require((1...10_000).contains(maximumConnections), "`maximumConnections` must be from 1 to 10,000.")
            try require(
                (0...maximumConnections).contains(minimumConnections),
                "`minimumConnections` must be from 0 to `maximumConnections`.")
            try require(maximumWaiters >= 0, "`maximumWaiters` must not be negative.")
            for (name, duration) in [
                ("acquireTimeout", acquireTimeout), ("connectTimeout", connectTimeout),
                ("statementTimeout", statementTimeout), ("lockTimeout", lockTimeout),
                ("connectionLifetime", connectionLifetime), ("auditTimeout", auditTimeout),
            ] {
                try require(
                    duration >= .milliseconds(1) && duration <= .seconds(86_400), "`\(name)` must be from 1 ms to 1 d.")
            }
            try require(lockTimeout < statementTimeout, "`lockTimeout` must be shorter than `statementTimeout`.")
        }

        private func require(_ condition: Bool, _ sentence: String) throws(StoreError) {
            guard condition else { throw StoreError(.misconfigured, sentence) }
        }

        func client(_ options: ConnectionOptions) -> ClientConfiguration {
            var client = ClientConfiguration(options: options, schema: schema)
            client.minimumConnections = minimumConnections
            client.maximumConnections = maximumConnections
            client.maximumWaiters = maximumWaiters
            client.acquireTimeout = acquireTimeout
            client.connectTimeout = connectTimeout
            client.statementTimeout = statementTimeout
            client.lockTimeout = lockTimeout
            client.lifetime = connectionLifetime
            return client
        }
    }

    package let client: PostgreSQLClient
    let configuration: Configuration

    /// Makes a store. It connects when it is first used.
    ///
    /// - Parameters:
    ///   - url: libpq's URL or `keyword=value` form. Of its parameters those are taken that say where the server is, who
    ///     logs in, and how the connection is encrypted and kept alive (`sslmode` and its kin). What it does not say libpq
    ///     takes from the environment (`PGHOST`, `PGPASSWORD`...), though not `PGHOSTADDR` and `PGOPTIONS`; `PGSERVICE`,
    ///     which libpq would follow into a file, must not be set.
    ///   - configuration: see ``Configuration``.
    /// - Throws: `StoreError.Code.misconfigured` for a URL, an environment or a configuration that makes no sense; the sentence does not
    ///   quote the URL.
    public convenience init(url: String, configuration: Configuration = Configuration()) throws(StoreError) {
        try self.init(url: url, configuration: configuration, settings: [:])
    }

    /// - Parameters:
    ///   - settings: further settings of the server, for tests.
    ///   - onNotice: gets the server's notices, on the Reactor, for tests.
    package init(
        url: String, configuration: Configuration, settings: [String: String],
        onNotice: (@Sendable (String) -> Void)? = nil
    ) throws(StoreError) {
        try configuration.check()
        self.configuration = configuration
        do throws(DatabaseError) {
            var client = configuration.client(try ConnectionOptions(url))
            client.settings = settings
            self.client = try PostgreSQLClient(client, onNotice: onNotice)
        } catch {
            throw StoreError(error)
        }
    }

    /// ``Configuration/statementTimeout``: so long may a statement go on in the server, whose connection broke. A commit that
    /// the server's disk or its standby holds up goes on for longer, and so does one that a process of the server had not begun
    /// when it stood still (a paused machine): its time begins when that goes on.
    public var settlingTime: Duration { configuration.statementTimeout }

    /// Brings the schema up to date. Any number of processes may do it at once: one does, the others wait for it.
    ///
    /// Needs the right to create the schema or, where it exists, tables and functions in it. Whoever merely uses the store
    /// needs `USAGE` on the schema, and on its tables what the functions do: they run with the caller's rights.
    public func migrate() async throws(StoreError) {
        let client = client
        let schema = configuration.schema
        try await asking { () async throws(DatabaseError) in
            try await client.withTransaction(timeout: Migrations.patience) {
                (transaction) async throws(DatabaseError) in
                try await Migrations.run(in: transaction, schema: schema)
            }
        }
    }

    /// Ends it: calls under way are finished, later ones throw `StoreError.Code.closed`. Must be called once.
    public func close() async {
        await client.close()
    }

    // MARK: Asking

    func asking<Answer: Sendable>(
        _ body: () async throws(DatabaseError) -> Answer
    ) async throws(StoreError) -> Answer {
        do throws(DatabaseError) {
            return try await body()
        } catch {
            throw StoreError(error)
        }
    }

    /// One statement that writes, as a transaction of its own.
    func write(_ sql: String, _ parameters: [String?]) async throws(StoreError) -> Rows {
        try await asking { () async throws(DatabaseError) in try await client.query(sql, parameters) }
    }

    /// One statement that only reads.
    func read(_ sql: String, _ parameters: [String?]) async throws(StoreError) -> Rows {
        try await asking { () async throws(DatabaseError) in
            try await client.query(sql, parameters, mayCommit: false)
        }
    }
}
