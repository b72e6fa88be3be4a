import Reservations

extension SQLiteReservationStore: QueueingReservationStore {
    /// See `QueueingReservationStore.preparePartitions(_:)`.
    public func preparePartitions(_ count: Int) async throws(StoreError) -> [Int64] {
        // Asked again and again, and made once: without the write lock if there is nothing to make.
        let served = try await connections.read { try $0.partitionsServed() }
        if served.count == count { return served }
        return try await connections.write { try $0.preparePartitions(count) }
    }

    /// See `QueueingReservationStore.enqueue(_:in:limits:)`.
    public func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        try await connections.write { try $0.enqueue(claims, in: partition, limits: limits) }
    }

    /// See `QueueingReservationStore.takePartition(_:token:)`.
    public func takePartition(_ partition: Int, token: Int64) async throws(StoreError) -> TakeoverOutcome {
        try await connections.write { try $0.takePartition(partition, token: token) }
    }

    /// See `QueueingReservationStore.rewind(_:token:)`.
    public func rewind(_ partition: Int, token: Int64) async throws(StoreError) -> Bool {
        try await connections.write { try $0.rewind(partition, token: token) }
    }

    /// See `QueueingReservationStore.decide(_:)`.
    public func decide(_ batch: QueueBatch) async throws(StoreError) -> BatchOutcome {
        try await connections.write { try $0.decide(batch) }
    }

    /// See `QueueingReservationStore.waiting(in:after:through:longerThan:limit:)`.
    public func waiting(
        in partition: Int, after number: Int64, through last: Int64, longerThan age: Duration, limit: Int
    ) async throws(StoreError) -> [WaitingRequest] {
        try await connections.read {
            try $0.waiting(in: partition, after: number, through: last, longerThan: age, limit: limit)
        }
    }

    /// See `QueueingReservationStore.withdraw(_:)`.
    public func withdraw(_ request: RequestName) async throws(StoreError) -> QueuedRequest? {
        try await connections.write { try $0.withdraw(request) }
    }

    /// See `QueueingReservationStore.lag()`.
    public func lag() async throws(StoreError) -> [LineLag] {
        try await connections.read { try $0.lag() }
    }

    /// See `QueueingReservationStore.requests(_:)`.
    public func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?] {
        try await connections.read { tables in try names.map { try tables.request($0) } }
    }
}
