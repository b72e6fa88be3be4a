import Reservations

/// A store with a line before another: what it does not do itself, the other does.
package protocol QueueingStoreWrapper: StoreWrapper, QueueingReservationStore {
    var queueing: any QueueingReservationStore { get }
}

extension QueueingStoreWrapper {
    package var inner: any ReservationStore { queueing }

    package func preparePartitions(_ count: Int) async throws(StoreError) -> [Int64] {
        try await queueing.preparePartitions(count)
    }

    package func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        try await queueing.enqueue(claims, in: partition, limits: limits)
    }

    package func takePartition(_ partition: Int, token: Int64) async throws(StoreError) -> TakeoverOutcome {
        try await queueing.takePartition(partition, token: token)
    }

    package func rewind(_ partition: Int, token: Int64) async throws(StoreError) -> Bool {
        try await queueing.rewind(partition, token: token)
    }

    package func decide(_ batch: QueueBatch) async throws(StoreError) -> BatchOutcome {
        try await queueing.decide(batch)
    }

    package func waiting(
        in partition: Int, after number: Int64, through last: Int64, longerThan age: Duration, limit: Int
    ) async throws(StoreError) -> [WaitingRequest] {
        try await queueing.waiting(in: partition, after: number, through: last, longerThan: age, limit: limit)
    }

    package func withdraw(_ request: RequestName) async throws(StoreError) -> QueuedRequest? {
        try await queueing.withdraw(request)
    }

    package func lag() async throws(StoreError) -> [LineLag] {
        try await queueing.lag()
    }

    package func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?] {
        try await queueing.requests(names)
    }
}

/// A queue before another: what it does not do itself, the other does.
package protocol QueueWrapper: ReservationQueue {
    associatedtype Inner: ReservationQueue
    var inner: Inner { get }
}

extension QueueWrapper {
    package func append(_ requests: [RequestName], to partition: Int) async throws(QueueError) {
        try await inner.append(requests, to: partition)
    }

    package func read(
        _ partition: Int, after position: QueuePosition, limit: Int, wait: Duration
    ) async throws(QueueError) -> [QueueEntry] {
        try await inner.read(partition, after: position, limit: limit, wait: wait)
    }

    package func lastPosition(of partition: Int) async throws(QueueError) -> QueuePosition? {
        try await inner.lastPosition(of: partition)
    }

    package func trim(_ partition: Int, served entries: [QueueEntry]) async throws(QueueError) {
        try await inner.trim(partition, served: entries)
    }

    package func bury(_ request: RequestName, of partition: Int, reason: String) async throws(QueueError) {
        try await inner.bury(request, of: partition, reason: reason)
    }

    package func announce(_ progress: QueueProgress, of partition: Int) async throws(QueueError) {
        try await inner.announce(progress, of: partition)
    }

    package func announcements(of partition: Int) async -> AsyncStream<QueueProgress> {
        await inner.announcements(of: partition)
    }

    package func touch(_ requests: [RequestName], in partition: Int) async throws(QueueError) {
        try await inner.touch(requests, in: partition)
    }

    package func silent(
        among entries: [QueueEntry], of partition: Int, for silence: Duration
    ) async throws(QueueError) -> Set<RequestName> {
        try await inner.silent(among: entries, of: partition, for: silence)
    }

    package func close() async { await inner.close() }
}
