import Reservations

extension WatchedStore: QueueingReservationStore {
    package func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        tally.wait(claims)
        // Whoever is decided at once, or refused a place, does not wait.
        do throws(StoreError) {
            let outcomes = try await store.enqueue(claims, in: partition, limits: limits)
            tally.leave(zip(claims, outcomes).compactMap { if case .waiting = $1 { nil } else { $0.name } })
            return outcomes
        } catch {
            tally.leave(claims.compactMap(\.name))
            throw error
        }
    }

    package func decide(_ batch: QueueBatch) async throws(StoreError) -> BatchOutcome {
        let outcome = try await store.decide(batch)
        if case .decided(_, let verdicts) = outcome { tally.decide(verdicts) }
        return outcome
    }

    // MARK: Passed on

    package func preparePartitions(_ count: Int) async throws(StoreError) -> [Int64] {
        try await store.preparePartitions(count)
    }

    package func takePartition(_ partition: Int, token: Int64) async throws(StoreError) -> TakeoverOutcome {
        try await store.takePartition(partition, token: token)
    }

    package func rewind(_ partition: Int, token: Int64) async throws(StoreError) -> Bool {
        try await store.rewind(partition, token: token)
    }

    package func waiting(
        in partition: Int, after number: Int64, through last: Int64, longerThan age: Duration, limit: Int
    ) async throws(StoreError) -> [WaitingRequest] {
        try await store.waiting(in: partition, after: number, through: last, longerThan: age, limit: limit)
    }

    package func withdraw(_ request: RequestName) async throws(StoreError) -> QueuedRequest? {
        let found = try await store.withdraw(request)
        if found?.state == .withdrawn { tally.leave([request]) }
        return found
    }

    package func lag() async throws(StoreError) -> [LineLag] {
        try await store.lag()
    }

    package func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?] {
        try await store.requests(names)
    }
}

extension Claim {
    /// As it waits in a line.
    var name: RequestName? { request.map { RequestName(caller: $0.caller, key: $0.key) } }
}
