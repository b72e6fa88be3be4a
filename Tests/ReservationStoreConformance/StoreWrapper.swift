import Reservations

/// A store before another: what it does not do itself, the other does.
package protocol StoreWrapper: ReservationStore {
    var inner: any ReservationStore { get }
}

extension StoreWrapper {
    package func migrate() async throws(StoreError) { try await inner.migrate() }

    package func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome {
        try await inner.restock(change)
    }

    package func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await inner.claim(claim, by: rule)
    }

    package var settlingTime: Duration { inner.settlingTime }

    package func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try await inner.resolve(resolution)
    }

    package func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        try await inner.extend(change)
    }

    package func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        try await inner.expire(buckets, limit: limit)
    }

    package func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation? {
        try await inner.reservation(id, holder: holder)
    }

    package func states(of buckets: [Bucket]) async throws(StoreError) -> [BucketState] {
        try await inner.states(of: buckets)
    }

    package func neighbours(of bucket: Bucket, limit: Int) async throws(StoreError) -> [BucketState] {
        try await inner.neighbours(of: bucket, limit: limit)
    }

    package func states(ofItem item: String, after last: Bucket?, limit: Int) async throws(StoreError) -> [BucketState]
    {
        try await inner.states(ofItem: item, after: last, limit: limit)
    }

    package func ledger(ofItem item: String?, after sequence: Int64, limit: Int) async throws(StoreError)
        -> [LedgerEntry]
    {
        try await inner.ledger(ofItem: item, after: sequence, limit: limit)
    }

    package func audit(grace: Duration) async throws(StoreError) -> AuditReport {
        try await inner.audit(grace: grace)
    }

    package func forgetRequests(olderThan age: Duration, limit: Int) async throws(StoreError) -> Int {
        try await inner.forgetRequests(olderThan: age, limit: limit)
    }

    package func close() async { await inner.close() }
}

/// Stands before a store and lets a test see and hold up what goes there.
struct ProbedStore: StoreWrapper {
    let inner: any ReservationStore
    /// Called with each claim before it goes on.
    var onClaim: @Sendable (Claim, ClaimRule) async -> Void = { _, _ in }
    /// Called when a claim has been answered.
    var onClaimed: @Sendable (Claim, ClaimRule, ClaimOutcome?) async -> Void = { _, _, _ in }

    /// The statement is under way, whatever becomes of the task that sent it: cancelling it does not call it back.
    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        let result = await Task.detached { [self] in
            await onClaim(claim, rule)
            let result: Result<ClaimOutcome, StoreError>
            do throws(StoreError) {
                result = .success(try await inner.claim(claim, by: rule))
            } catch {
                result = .failure(error)
            }
            await onClaimed(claim, rule, try? result.get())
            return result
        }.value
        return try result.get()
    }
}

/// A store whose line breaks: before the request is executed, or before its answer has come.
package struct FlakyStore: StoreWrapper {
    package enum Break: Sendable {
        case busy, unavailable, answerLost
    }

    package let inner: any ReservationStore
    let next: @Sendable () -> Break?

    package init(_ inner: any ReservationStore, next: @escaping @Sendable () -> Break?) {
        self.inner = inner
        self.next = next
    }

    /// None: a call whose answer is lost has come to its end before.
    package var settlingTime: Duration { .zero }

    private func through<Answer>(_ body: () async throws(StoreError) -> Answer) async throws(StoreError) -> Answer {
        switch next() {
        case .busy: throw StoreError(.busy, "Injected: busy.")
        case .unavailable: throw StoreError(.unavailable, "Injected: the line is down.")
        case .answerLost:
            _ = try await body()
            throw StoreError(.unavailable, "Injected: the answer was lost.", effect: .unknown)
        case nil: return try await body()
        }
    }

    package func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome {
        try await through { () async throws(StoreError) in try await inner.restock(change) }
    }

    package func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await through { () async throws(StoreError) in try await inner.claim(claim, by: rule) }
    }

    package func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try await through { () async throws(StoreError) in try await inner.resolve(resolution) }
    }

    package func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        try await through { () async throws(StoreError) in try await inner.extend(change) }
    }

    package func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        try await through { () async throws(StoreError) in try await inner.expire(buckets, limit: limit) }
    }
}
