#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import GRDB
import Reservations

/// Reservations in a SQLite file.
///
/// ```swift
/// let store = try await SQLiteReservationStore.open("/var/lib/shop/reservations.db")
/// try await store.migrate()
/// let service = try ReservationService(store: store, logger: logger)
/// ```
///
/// For one machine: any number of processes may use the file at the same time, but not over a network file system, whose
/// locks SQLite cannot trust. There is one writer at a time, in this process and among all; readers never wait for it.
/// What a method has returned is on the disk (`journal_mode = WAL`, `synchronous = FULL`).
///
/// **Time** is that of the process's clock: SQLite has none of its own. The processes on one machine share its clock; when it
/// is set back, holds last longer by as much.
///
/// All rules of `ClaimRule` are one transaction that has the write lock from its beginning (`BEGIN IMMEDIATE`). So
/// `Strategy.atomic` and `Strategy.pessimistic(lockTimeout:)` do the same here, and `Strategy.optimistic(attempts:)`
/// gains nothing over them.
///
/// Schema and guarantees hold for whoever else writes to the file: constraints and triggers refuse an oversell, a negative
/// stock, a seat sold twice, a reservation resolved twice and a change of the ledger.
public final class SQLiteReservationStore: ReservationStore {
    /// How the file is used.
    public struct Configuration: Sendable {
        /// How long a call waits for its turn to write, behind other calls of this process and transactions of others; then
        /// `StoreError.Code.busy`. From 1 ms to 1 min, default 5 s.
        public var busyTimeout: Duration = .seconds(5)
        /// How many calls of this process may wait for their turn to write at once: 0 ... 10,000. Others fail with
        /// `StoreError.Code.busy` without a wait. Default 1,000.
        public var maximumWaiters = 1_000
        /// How many may read at the same time: 1 ... 64. Default 4.
        public var maximumReaders = 4
        /// The clock, and so the store's time. It is asked once in each transaction.
        public var now: @Sendable () -> Date = { Date() }
        /// The file's largest size: for tests of what happens when it is full.
        package var maximumPages: Int?

        /// The defaults.
        public init() {}

        func check() throws(StoreError) {
            guard busyTimeout >= .milliseconds(1), busyTimeout <= .seconds(60) else {
                throw StoreError(.misconfigured, "`busyTimeout` must be from 1 ms to 1 min.")
            }
            guard (1...64).contains(maximumReaders) else {
                throw StoreError(.misconfigured, "`maximumReaders` must be from 1 to 64.")
            }
            guard (0...10_000).contains(maximumWaiters) else {
                throw StoreError(.misconfigured, "`maximumWaiters` must be from 0 to 10,000.")
            }
        }
    }

    let connections: Connections

    private init(_ connections: Connections) {
        self.connections = connections
    }

    /// Opens the file, or makes it. Its folder must exist and be writable, for SQLite keeps two more files beside it.
    ///
    /// - Throws: `StoreError.Code.misconfigured` for a file that cannot be used, with a sentence that says what to do.
    public static func open(
        _ path: String, configuration: Configuration = Configuration()
    ) async throws(StoreError) -> SQLiteReservationStore {
        try configuration.check()
        guard !path.isEmpty, path != ":memory:" else {
            throw StoreError(
                .misconfigured, "A file is needed; for a store in memory there is `InMemoryReservationStore`.")
        }
        return SQLiteReservationStore(try await Connections.open(path, configuration))
    }

    // MARK: ReservationStore

    /// See `ReservationStore.migrate()`.
    ///
    /// - Throws: `StoreError.Code.misconfigured` for a file with a newer schema, or with tables of the same names that are
    ///   not this library's.
    public func migrate() async throws(StoreError) {
        try await connections.write { tables in
            try Migrations(db: tables.db).run()
            return .keep(())
        }
    }

    /// See `ReservationStore.restock(_:)`.
    public func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome {
        try await connections.write { try $0.restock(change) }
    }

    /// See `ReservationStore.claim(_:by:)`.
    public func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await attempt(claim, by: rule).outcome
    }

    /// See `ReservationStore.attempt(_:by:)`. Each time that the file's write lock was asked for counts.
    public func attempt(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimAnswer {
        // A look without the write lock: when thousands find an item sold out, they do not queue for it.
        if let refusal = try await connections.read({ try $0.refusal(of: claim, by: rule) }) {
            return ClaimAnswer(refusal, attempts: 1)
        }
        let call = connections.call(patience: rule.patience)
        let outcome = try await connections.write(call) { try $0.claim(claim, by: rule) }
        return ClaimAnswer(outcome, attempts: call.attempts)
    }

    /// See `ReservationStore.resolve(_:)`.
    public func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try await connections.write { try $0.resolve(resolution) }
    }

    /// See `ReservationStore.extend(_:)`.
    public func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        try await connections.write { try $0.extend(change) }
    }

    /// See `ReservationStore.expire(_:limit:)`.
    public func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        // Sweepers find nothing most of the time, and then write nothing.
        if try await connections.read({ try $0.due(buckets, limit: 1).isEmpty }) { return [] }
        return try await connections.write { try $0.expire(buckets, limit: limit) }
    }

    /// See `ReservationStore.reservation(_:holder:)`.
    public func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation? {
        try await connections.read { try $0.reservation(id, holder: holder) }
    }

    /// See `ReservationStore.states(of:)`.
    public func states(of buckets: [Bucket]) async throws(StoreError) -> [BucketState] {
        try await connections.read { try $0.states(of: buckets) }
    }

    /// See `ReservationStore.neighbours(of:limit:)`.
    public func neighbours(of bucket: Bucket, limit: Int) async throws(StoreError) -> [BucketState] {
        try await connections.read { try $0.neighbours(of: bucket, limit: limit) }
    }

    /// See `ReservationStore.states(ofItem:after:limit:)`.
    public func states(ofItem item: String, after last: Bucket?, limit: Int) async throws(StoreError) -> [BucketState] {
        try await connections.read { try $0.states(ofItem: item, after: last, limit: limit) }
    }

    /// See `ReservationStore.ledger(ofItem:after:limit:)`.
    public func ledger(ofItem item: String?, after sequence: Int64, limit: Int) async throws(StoreError)
        -> [LedgerEntry]
    {
        try await connections.read { try $0.ledger(ofItem: item, after: sequence, limit: limit) }
    }

    /// See `ReservationStore.audit(grace:)`.
    public func audit(grace: Duration) async throws(StoreError) -> AuditReport {
        try await connections.read { try $0.audit(grace: grace) }
    }

    /// See `ReservationStore.forgetRequests(olderThan:limit:)`.
    public func forgetRequests(olderThan age: Duration, limit: Int) async throws(StoreError) -> Int {
        try await connections.write { try $0.forget(before: $0.now - age.milliseconds, limit: limit) }
    }

    /// None: a transaction is over when its call is.
    public var settlingTime: Duration { .zero }

    /// For tests: how many of this process wait for their turn to write.
    package var waitingWriters: Int { connections.waitingWriters }

    /// See `ReservationStore.close()`.
    public func close() async {
        await connections.close()
    }

    /// For tests: SQL by hand, as though another program wrote to the file.
    package func withDatabase<Value: Sendable>(
        _ body: @escaping @Sendable (Database) throws -> Value
    ) async throws -> Value {
        try await connections.withWriter(body)
    }
}

extension ClaimRule {
    /// How long a claim may wait for its turn to write.
    fileprivate var patience: Duration? {
        if case .pessimistic(let lockTimeout) = self { lockTimeout } else { nil }
    }
}
