import Reservations
import Synchronization

/// What became of one request on its way through the store: for response headers and logs.
///
/// It is handed down by the task that serves the request; whatever strategy runs beneath writes into it.
package final class RequestNotes: Sendable {
    package struct Values: Sendable {
        /// The token of the last claim that was made under a lock.
        package var fencingToken: Int64?
        /// How often the store was asked to claim.
        package var claims = 0
        package var staleFences = 0
        /// The answer had been given before.
        package var isReplayed = false
    }

    private let state = Mutex(Values())

    @TaskLocal package static var current: RequestNotes?

    package init() {}

    package var values: Values { state.withLock { $0 } }

    func note(_ change: (inout Values) -> Void) { state.withLock { change(&$0) } }
}

/// How often things happened in this process, for the operator's view.
package final class Tally: Sendable {
    package struct Counts: Sendable {
        package var held = 0
        package var refused = 0
        /// Claims that had to be made again: somebody was faster, or the row was busy.
        package var retries = 0
        package var staleFences = 0
    }

    private let items = Mutex<[String: Counts]>([:])

    /// What those want who wait in lines: the verdict on them names only their request.
    private let wanted = Mutex<[RequestName: String]>([:])
    /// They may be decided in another process, which does not tell this one.
    private static let maximumWanted = 200_000

    package init() {}

    func wait(_ claims: [Claim]) {
        wanted.withLock { wanted in
            if wanted.count >= Self.maximumWanted { wanted = [:] }
            for claim in claims {
                guard let name = claim.name, let item = claim.cart.buckets.first?.item else { continue }
                wanted[name] = item
            }
        }
    }

    func leave(_ names: [RequestName]) {
        guard !names.isEmpty else { return }
        wanted.withLock { wanted in for name in names { wanted[name] = nil } }
    }

    func decide(_ verdicts: [BatchOutcome.Verdict]) {
        let items = wanted.withLock { wanted in verdicts.map { wanted.removeValue(forKey: $0.request) } }
        for (verdict, item) in zip(verdicts, items) {
            guard let item else { continue }
            count(item) { if verdict.kind == .held { $0.held += 1 } else { $0.refused += 1 } }
        }
    }

    package func counts(of item: String) -> Counts { items.withLock { $0[item] ?? Counts() } }

    package func count(_ item: String, _ change: (inout Counts) -> Void) {
        items.withLock { change(&$0[item, default: Counts()]) }
    }
}

/// A store that tells what passes through it, and changes nothing.
package struct WatchedStore: ReservationStore {
    let store: any QueueingReservationStore
    let tally: Tally

    package init(_ store: any QueueingReservationStore, tally: Tally) {
        self.store = store
        self.tally = tally
    }

    package func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await attempt(claim, by: rule).outcome
    }

    package func attempt(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimAnswer {
        let item = claim.cart.buckets.first?.item ?? ""
        let notes = RequestNotes.current
        notes?.note { notes in
            notes.claims += 1
            if case .fenced(let token) = rule { notes.fencingToken = token }
        }
        // A claim that is made again has the same notes.
        if let notes, notes.values.claims > 1 { tally.count(item) { $0.retries += 1 } }
        let answer = try await store.attempt(claim, by: rule)
        switch answer.outcome {
        case .held: tally.count(item) { $0.held += 1 }
        case .replayed: notes?.note { $0.isReplayed = true }
        case .staleFence:
            notes?.note { $0.staleFences += 1 }
            tally.count(item) { $0.staleFences += 1 }
        case .versionConflict: break
        default: tally.count(item) { $0.refused += 1 }
        }
        return answer
    }

    package func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        noted(try await store.resolve(resolution))
    }

    package func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        noted(try await store.extend(change))
    }

    package func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome {
        let outcome = try await store.restock(change)
        if case .replayed = outcome { RequestNotes.current?.note { $0.isReplayed = true } }
        return outcome
    }

    private func noted(_ outcome: ResolutionOutcome) -> ResolutionOutcome {
        if case .repeated = outcome { RequestNotes.current?.note { $0.isReplayed = true } }
        return outcome
    }

    // MARK: Passed on

    package var settlingTime: Duration { store.settlingTime }

    package func migrate() async throws(StoreError) { try await store.migrate() }

    package func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        try await store.expire(buckets, limit: limit)
    }

    package func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation? {
        try await store.reservation(id, holder: holder)
    }

    package func states(of buckets: [Bucket]) async throws(StoreError) -> [BucketState] {
        try await store.states(of: buckets)
    }

    package func neighbours(of bucket: Bucket, limit: Int) async throws(StoreError) -> [BucketState] {
        try await store.neighbours(of: bucket, limit: limit)
    }

    package func states(
        ofItem item: String, after last: Bucket?, limit: Int
    ) async throws(StoreError) -> [BucketState] {
        try await store.states(ofItem: item, after: last, limit: limit)
    }

    package func ledger(
        ofItem item: String?, after sequence: Int64, limit: Int
    ) async throws(StoreError) -> [LedgerEntry] {
        try await store.ledger(ofItem: item, after: sequence, limit: limit)
    }

    package func audit(grace: Duration) async throws(StoreError) -> AuditReport {
        try await store.audit(grace: grace)
    }

    package func forgetRequests(olderThan age: Duration, limit: Int) async throws(StoreError) -> Int {
        try await store.forgetRequests(olderThan: age, limit: limit)
    }

    package func close() async { await store.close() }
}
