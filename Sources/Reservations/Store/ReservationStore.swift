/// Where inventory and reservations live. The store's rules are what makes an oversell impossible; strategies, locks and
/// queues only shape the traffic.
///
/// What every store promises, and ``InMemoryReservationStore`` shows:
///
/// - **One method is one transaction.** It takes effect as a whole or not at all, also when its task is cancelled or its
///   process dies, and what it returned is durable. A method that throws an error whose ``StoreError/effect`` is
///   ``StoreError/Effect/unknown`` may have taken effect: to call it again with the same arguments is safe.
/// - **`0 <= held`, `0 <= sold`, `held + sold <= capacity`** hold for every bucket after every statement, by constraints of
///   the schema and not by the care of the code. So do: a seat in at most one live line; a reservation resolved at most
///   once; a ledger that is only added to.
/// - **Time is the store's.** Deadlines are set and compared by its clock only.
/// - **Lock order.** Reservation rows before bucket rows; bucket rows in one order that is the same for every method.
///   So no two methods can deadlock.
/// - **A hold whose time is up is over**, whether or not ``expire(_:limit:)`` has seen it. Whatever a store answers shows it
///   as ``Reservation/State/expired``, resolved when its time was up; it counts for no limit; only the bucket's `held` still
///   has it. See ``Reservation/seen(at:)``.
/// - **Answers are stored with their effect.** A method that gets a ``RequestKey`` writes it, with the id of the reservation
///   or the bucket that it answers, in the same transaction, and answers a repeated key with that reservation or bucket as it
///   stands now. A key belongs to its caller: the same key of the same caller for another operation or with another
///   fingerprint is ``KeyProblem/reused``. What had no effect is not stored: its key may be used again.
/// - Methods may be called from any number of tasks at once, and do not block the thread that calls them.
public protocol ReservationStore: Sendable {
    /// Brings the schema up to date. Any number of processes may do it at once.
    func migrate() async throws(StoreError)

    /// Adds to the capacity of a bucket, or takes away from it; makes the bucket if there is none (with a delta of 0 or more).
    ///
    /// The only method that may not be repeated without a ``StockChange/request``.
    func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome

    /// Holds all lines of a cart, or none.
    ///
    /// In this order: a key that was used, an id that exists already, the holder's limit, a stale fence, a version conflict,
    /// shortages. A claim that is refused leaves nothing behind, not even a raised fence.
    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome

    /// ``claim(_:by:)``, with how often the database was asked: for stores that ask again by themselves. Without an
    /// implementation of its own, once.
    func attempt(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimAnswer

    /// How long a transaction may go on in the database after its call has thrown an error whose effect is unknown.
    ///
    /// A refusal that is asked for later than that takes in whatever such a call has done, and is told as final. One that
    /// comes earlier may be true only until the transaction is committed. A store that stands before another has the other's.
    var settlingTime: Duration { get }

    /// Ends a reservation: confirm, cancel, or return.
    ///
    /// One that is in the state already is ``ResolutionOutcome/repeated(_:)``, with or without a key.
    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome

    /// Sets the end of a hold to `ttl` from now, but not beyond its hard deadline, and never to an earlier time than before.
    func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome

    /// Ends at most `limit` holds whose time is up, the oldest first: of these buckets, or of all.
    ///
    /// Holds that another call is ending at the same time are passed over.
    func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation]

    /// One reservation; `nil` when there is none, or it is not `holder`'s. Anybody's when `holder` is `nil`.
    func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation?

    /// The buckets that there are among these, in their order.
    func states(of buckets: [Bucket]) async throws(StoreError) -> [BucketState]

    /// The buckets of the same item and kind next to this one in the order of buckets, free or not, sorted and without itself:
    /// at most `limit` before it and at most `limit` after it. It need not exist.
    func neighbours(of bucket: Bucket, limit: Int) async throws(StoreError) -> [BucketState]

    /// All buckets of an item, sorted, at most `limit` after `last`.
    func states(ofItem item: String, after last: Bucket?, limit: Int) async throws(StoreError) -> [BucketState]

    /// The ledger, oldest first: of one item or of all, at most `limit` entries after `sequence`.
    func ledger(ofItem item: String?, after sequence: Int64, limit: Int) async throws(StoreError) -> [LedgerEntry]

    /// Compares everything with everything: see ``AuditReport``. Changes nothing.
    ///
    /// - Parameter grace: how long a hold may be overdue before that is a finding.
    func audit(grace: Duration) async throws(StoreError) -> AuditReport

    /// Forgets stored answers that are older, at most `limit` of them. Returns how many.
    func forgetRequests(olderThan age: Duration, limit: Int) async throws(StoreError) -> Int

    /// Ends it: calls under way are finished, later ones throw ``StoreError/Code/closed``.
    func close() async
}

extension ReservationStore {
    /// Asks once.
    public func attempt(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimAnswer {
        ClaimAnswer(try await self.claim(claim, by: rule), attempts: 1)
    }
}
