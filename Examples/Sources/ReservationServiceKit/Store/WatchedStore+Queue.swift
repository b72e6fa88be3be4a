import Reservations

extension WatchedStore: QueueingReservationStore {
    package func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        tally.wait(claims)
        return try await store.enqueue(claims, in: partition, limits: limits)
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
        try await store.withdraw(request)
    }

    package func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?] {
        try await store.requests(names)
    }
}
