import Logging
import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import Synchronization
import TestSupport
import Testing

/// One process of a service with a waiting line: lines that run, and a service that uses them.
struct QueueRig: Sendable {
    let store: any QueueingReservationStore
    let queue: any ReservationQueue
    let locks: RedisLocks
    let line: WaitingLine
    let service: ReservationService

    init(
        store: any QueueingReservationStore, queue: any ReservationQueue, locks: RedisLocks,
        _ configure: (inout WaitingLine.Configuration) -> Void = { _ in }
    ) throws {
        self.store = store
        self.queue = queue
        self.locks = locks
        var configuration = WaitingLine.Configuration()
        configuration.partitions = 2
        configuration.maximumWaitingPerCaller = 1_000
        configure(&configuration)
        line = try WaitingLine(store: store, queue: queue, locks: locks, configuration: configuration)
        var service = ReservationService.Configuration()
        service.strategy = .queued(line)
        service.limits.liveHoldsPerHolder = nil
        self.service = try ReservationService(store: store, configuration: service)
    }

    /// Runs the lines while `body` does.
    func running<Result: Sendable>(_ body: @escaping @Sendable (QueueRig) async throws -> Result) async throws -> Result
    {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await line.run() }
            defer { group.cancelAll() }
            try await waitUntil("the lines run") { line.isRunning }
            return try await body(self)
        }
    }
}

/// A rig in memory, whose locks are those of a real client on an in-memory node with the system's clock.
func withQueueRig<Result: Sendable>(
    store: InMemoryReservationStore = InMemoryReservationStore(),
    queue: InMemoryReservationQueue = InMemoryReservationQueue(),
    _ configure: (inout WaitingLine.Configuration) -> Void = { _ in },
    _ body: @escaping @Sendable (QueueRig, RedisTestServer) async throws -> Result
) async throws -> Result {
    let server = try RedisTestServer()
    let locks = try RedisLocks(.node(server.url))
    let rig = try QueueRig(store: store, queue: queue, locks: locks, configure)
    do {
        let result = try await rig.running { try await body($0, server) }
        await locks.shutdown()
        return result
    } catch {
        await locks.shutdown()
        throw error
    }
}

extension ReservationStore {
    func stock(_ bucket: Bucket, _ count: Int) async throws {
        _ = try await restock(StockChange(bucket: bucket, delta: count, actor: "test"))
    }
}
