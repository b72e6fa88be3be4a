/// How a claim is brought to the store: what is read before, what is locked, how often it is tried.
///
/// No strategy can oversell, and all may be used on the same buckets at the same time: the store's rows decide. They differ
/// in what they cost and whom they serve first:
///
/// | Strategy | Choose it when | It costs |
/// |---|---|---|
/// | ``Strategy/atomic`` | in doubt | nothing: one transaction, no retries |
/// | ``Strategy/optimistic(attempts:)`` | conflicts are rare, and a decision was made on what a person saw before | whole retries, most of them in vain when many want the same |
/// | ``Strategy/pessimistic(lockTimeout:)`` | the decision needs a stable view of several rows | one more round trip while rows are locked |
/// | ``Strategy/locked(_:)`` | many servers, few database connections, or much to do before the write | a lock round trip on Redis before the transaction |
public protocol ReservationStrategy: Sendable {
    /// A constant word: for metrics, errors and operators.
    var name: String { get }

    /// Brings the claim to the store. Expected refusals are outcomes.
    ///
    /// - Throws: ``StoreError``, also for what happened before the store was asked.
    func claim(_ claim: Claim, in store: any ReservationStore, attempts: AttemptCounter) async throws(StoreError) -> ClaimOutcome
}
