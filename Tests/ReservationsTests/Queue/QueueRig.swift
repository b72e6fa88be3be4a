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
        _ configure: (inout WaitingLine.Configuration) -> Void = { _ in },
        now: @escaping @Sendable () -> ContinuousClock.Instant = { .now }
    ) throws {
        self.store = store
        self.queue = queue
        self.locks = locks
        var configuration = WaitingLine.Configuration()
        configuration.partitions = 2
        configuration.maximumWaitingPerCaller = 1_000
        configure(&configuration)
        line = try WaitingLine(
            store: store, queue: queue, locks: locks, configuration: configuration,
            logger: Logger(label: "test", factory: { _ in SwiftLogNoOpLogHandler() }), now: now)
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

extension QueueRig {
    /// Another process on the same store, queue and lock server.
    static func with<Result: Sendable>(
        _ store: any QueueingReservationStore, _ queue: any ReservationQueue, _ server: RedisTestServer,
        ttl: Duration = .seconds(2), _ configure: (inout WaitingLine.Configuration) -> Void = { _ in },
        _ body: @escaping @Sendable (QueueRig) async throws -> Result
    ) async throws -> Result {
        let locks = try RedisLocks(.node(server.url))
        let rig = try QueueRig(store: store, queue: queue, locks: locks) {
            $0.ownerTTL = ttl
            configure(&$0)
        }
        do {
            let result = try await rig.running(body)
            await locks.shutdown()
            return result
        } catch {
            await locks.shutdown()
            throw error
        }
    }

    /// Who asks for a shirt, and is put into the line.
    func submit(_ holder: String, key: String = "k", _ item: String = "shirt") async throws -> Ticket {
        switch try await service.submit([Line(.counted(item))], for: holder, key: key) {
        case .queued(let ticket): return ticket
        case .reserved: throw TestSupportError("\(holder) was not put into a line.")
        }
    }

    /// Asks for what may have been decided before, in another process, and waits if it was not.
    func reserved(_ holder: String, key: String = "k") async -> String {
        do throws(ReservationError) {
            return try await service.reserve([Line(.counted("shirt"))], for: holder, key: key).state.rawValue
        } catch {
            return error.code.name
        }
    }

    /// Asks, and waits for what comes of it.
    func outcome(of holder: String) async throws -> String {
        await (try await submit(holder)).outcome()
    }

    /// All of them, one after the other.
    func submit(_ count: Int) async throws -> [Ticket] {
        var tickets: [Ticket] = []
        for buyer in 0..<count { tickets.append(try await submit("buyer-\(buyer)")) }
        return tickets
    }

    /// In the order of the tickets: what each has come to.
    static func outcomes(_ tickets: [Ticket]) async -> [String] {
        await withTaskGroup(of: (Int, String).self) { group in
            for (index, ticket) in tickets.enumerated() { group.addTask { (index, await ticket.outcome()) } }
            return await group.reduce(into: Array(repeating: "", count: tickets.count)) { $0[$1.0] = $1.1 }
        }
    }
}

extension Ticket {
    /// The state of the reservation, or why there is none.
    func outcome() async -> String {
        do throws(ReservationError) {
            return try await reservation().state.rawValue
        } catch {
            return error.code.name
        }
    }
}

/// A rig in memory, whose locks are those of a real client on an in-memory node with the system's clock.
func withQueueRig<Result: Sendable>(
    store: any QueueingReservationStore = InMemoryReservationStore(),
    queue: any ReservationQueue = InMemoryReservationQueue(),
    now: @escaping @Sendable () -> ContinuousClock.Instant = { .now },
    _ configure: (inout WaitingLine.Configuration) -> Void = { _ in },
    _ body: @escaping @Sendable (QueueRig, RedisTestServer) async throws -> Result
) async throws -> Result {
    let server = try RedisTestServer()
    let locks = try RedisLocks(.node(server.url))
    let rig = try QueueRig(store: store, queue: queue, locks: locks, configure, now: now)
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
