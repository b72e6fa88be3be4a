#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension InMemoryReservationStore: QueueingReservationStore {
    /// See ``QueueingReservationStore/preparePartitions(_:)``.
    public func preparePartitions(_ count: Int) async throws(StoreError) -> [Int64] {
        try await transaction(.queue) { (book, _) throws(StoreError) in try book.preparePartitions(count) }
    }

    /// See ``QueueingReservationStore/enqueue(_:in:limits:)``.
    public func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        try await transaction(.enqueue) { (book, now) throws(StoreError) in
            try book.enqueue(claims, in: partition, limits: limits, now: now)
        }
    }

    /// See ``QueueingReservationStore/takePartition(_:token:)``.
    public func takePartition(_ partition: Int, token: Int64) async throws(StoreError) -> TakeoverOutcome {
        try await transaction(.queue) { (book, _) throws(StoreError) in
            try book.takePartition(partition, token: token)
        }
    }

    /// See ``QueueingReservationStore/rewind(_:token:)``.
    public func rewind(_ partition: Int, token: Int64) async throws(StoreError) -> Bool {
        try await transaction(.queue) { (book, _) throws(StoreError) in try book.rewind(partition, token: token) }
    }

    /// See ``QueueingReservationStore/decide(_:)``.
    public func decide(_ batch: QueueBatch) async throws(StoreError) -> BatchOutcome {
        try await transaction(.decide) { (book, now) throws(StoreError) in try book.decide(batch, now: now) }
    }

    /// See ``QueueingReservationStore/waiting(in:after:through:longerThan:limit:)``.
    public func waiting(
        in partition: Int, after number: Int64, through last: Int64, longerThan age: Duration, limit: Int
    ) async throws(StoreError) -> [WaitingRequest] {
        try await transaction(.read) { (book, now) in
            let limitDate = now.addingTimeInterval(-(age / .seconds(1)))
            return book.waiting(in: partition, after: number, through: last, since: limitDate, count: limit)
        }
    }

    /// See ``QueueingReservationStore/withdraw(_:)``.
    public func withdraw(_ request: RequestName) async throws(StoreError) -> QueuedRequest? {
        try await transaction(.withdraw) { (book, now) in book.withdraw(request, now: now) }
    }

    /// See ``QueueingReservationStore/lag()``.
    public func lag() async throws(StoreError) -> [LineLag] {
        try await transaction(.read) { (book, now) in book.lag(now: now) }
    }

    /// See ``QueueingReservationStore/requests(_:)``.
    public func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?] {
        try await transaction(.read) { (book, now) in names.map { book.request($0, now: now) } }
    }
}
