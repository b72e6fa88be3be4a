#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import Synchronization

/// A store that lives and ends with the process: for tests, and as the plainest form of what ``ReservationStore`` promises.
///
/// ```swift
/// let clock = Mutex(Date())
/// let store = InMemoryReservationStore(now: { clock.withLock { $0 } })
/// ```
///
/// One lock around each method makes it a transaction. Nothing is written to a disk.
public final class InMemoryReservationStore: ReservationStore {
    /// Names a method, for faults.
    package enum Method: String, Sendable, Hashable, CaseIterable {
        case restock, claim, resolve, extend, expire, read, audit, forget
        case enqueue, decide, withdraw, queue
    }

    /// What goes wrong around a method. Both may wait, which delays it.
    package struct Faults: Sendable {
        /// Before the transaction: when it answers an error, that is thrown and nothing has happened.
        package var before: @Sendable (Method) async -> StoreError? = { _ in nil }
        /// After the transaction is committed: when it answers an error, that is thrown although it has happened.
        package var after: @Sendable (Method) async -> StoreError? = { _ in nil }

        package init() {}
    }

    private struct State {
        var book = Book()
        var isClosed = false
        var faults: Faults?
    }

    private let now: @Sendable () -> Date
    private let state = Mutex(State())

    /// Makes an empty store.
    ///
    /// - Parameter now: the store's clock. It is asked once in each transaction, and should not run backwards.
    public init(now: @escaping @Sendable () -> Date = { Date() }) {
        self.now = now
    }

    package func set(_ faults: Faults?) {
        state.withLock { $0.faults = faults }
    }

    /// The tables, as though one wrote to a database by hand: around every rule.
    package func withBook<Result>(_ body: (inout Book, Date) throws(StoreError) -> sending Result) throws(StoreError)
        -> sending Result
    {
        try state.withLock { (state) throws(StoreError) -> sending Result in try body(&state.book, now()) }
    }

    func transaction<Result: Sendable>(
        _ method: Method, _ body: (inout Book, Date) throws(StoreError) -> Result
    ) async throws(StoreError) -> Result {
        let faults = state.withLock { $0.faults }
        if let error = await faults?.before(method) { throw error }
        if Task.isCancelled {
            throw StoreError(.cancelled, "The task was cancelled before the store was asked.", attempts: 0)
        }
        let result = try state.withLock { state throws(StoreError) -> Result in
            if state.isClosed { throw StoreError(.closed, "The store was closed.", attempts: 0) }
            return try body(&state.book, now())
        }
        if let error = await faults?.after(method) { throw error }
        return result
    }

    // MARK: ReservationStore

    /// Nothing to do: there is no schema.
    public func migrate() async throws(StoreError) {}

    /// See ``ReservationStore/restock(_:)``.
    public func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome {
        try await transaction(.restock) { (book, now) throws(StoreError) in try book.restock(change, now: now) }
    }

    /// See ``ReservationStore/claim(_:by:)``.
    public func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await transaction(.claim) { (book, now) throws(StoreError) in try book.claim(claim, by: rule, now: now) }
    }

    /// None: nothing goes on when a call is over.
    public var settlingTime: Duration { .zero }

    /// See ``ReservationStore/resolve(_:)``.
    public func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try await transaction(.resolve) { (book, now) throws(StoreError) in try book.resolve(resolution, now: now) }
    }

    /// See ``ReservationStore/extend(_:)``.
    public func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        try await transaction(.extend) { (book, now) throws(StoreError) in try book.extend(change, now: now) }
    }

    /// See ``ReservationStore/expire(_:limit:)``.
    public func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        try await transaction(.expire) { (book, now) throws(StoreError) in
            try book.expire(buckets, limit: limit, now: now)
        }
    }

    /// See ``ReservationStore/reservation(_:holder:)``.
    public func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation? {
        try await transaction(.read) { (book, now) in book.reservation(id, holder: holder, now: now) }
    }

    /// See ``ReservationStore/states(of:)``.
    public func states(of buckets: [Bucket]) async throws(StoreError) -> [BucketState] {
        try await transaction(.read) { (book, _) in buckets.sorted().compactMap { book.state(of: $0) } }
    }

    /// See ``ReservationStore/neighbours(of:limit:)``.
    public func neighbours(of bucket: Bucket, limit: Int) async throws(StoreError) -> [BucketState] {
        try await transaction(.read) { (book, _) in book.neighbours(of: bucket, limit: limit) }
    }

    /// See ``ReservationStore/states(ofItem:after:limit:)``.
    public func states(ofItem item: String, after last: Bucket?, limit: Int) async throws(StoreError) -> [BucketState] {
        try await transaction(.read) { (book, _) in
            let all = book.states { bucket in bucket.item.hasSameBytes(as: item) && last.map { $0 < bucket } ?? true }
            return Array(all.prefix(max(limit, 0)))
        }
    }

    /// See ``ReservationStore/ledger(ofItem:after:limit:)``.
    public func ledger(ofItem item: String?, after sequence: Int64, limit: Int) async throws(StoreError)
        -> [LedgerEntry]
    {
        try await transaction(.read) { (book, _) in
            let entries = book.ledger.lazy.filter { entry in
                entry.sequence > sequence && item.map { $0.hasSameBytes(as: entry.bucket.item) } ?? true
            }
            return Array(entries.prefix(max(limit, 0)))
        }
    }

    /// See ``ReservationStore/audit(grace:)``.
    public func audit(grace: Duration) async throws(StoreError) -> AuditReport {
        try await transaction(.audit) { (book, now) in book.audit(grace: grace, now: now) }
    }

    /// See ``ReservationStore/forgetRequests(olderThan:limit:)``.
    public func forgetRequests(olderThan age: Duration, limit: Int) async throws(StoreError) -> Int {
        try await transaction(.forget) { (book, now) in
            book.forgetRequests(olderThan: now.addingTimeInterval(-(age / .seconds(1))), count: limit)
        }
    }

    /// Later calls throw ``StoreError/Code/closed``.
    public func close() async {
        state.withLock { $0.isClosed = true }
    }
}
