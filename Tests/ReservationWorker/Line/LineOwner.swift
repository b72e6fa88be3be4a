import RedisLocks
import Reservations
import ReservationsPostgreSQL
import ReservationsSQLite

/// One process of a service with a waiting line.
struct LineProcess {
    let store: any QueueingReservationStore
    let line: WaitingLine
    let service: ReservationService
    let locks: RedisLocks

    init(
        store place: String, redis: String, fate: String? = nil, owns: Bool = true, batch: Int = 250,
        mutant: Torture.Mutant? = nil
    ) async throws {
        let fate = Fate(fate)
        store = SteppedStore(try await Self.store(at: place), fate: fate, mutant: mutant)
        var configuration = WaitingLine.Configuration()
        configuration.partitions = Self.partitions
        configuration.ownsPartitions = owns
        configuration.ownerTTL = TortureTimes.ttl
        configuration.intakeGrace = .seconds(1)
        configuration.silence = nil
        configuration.maximumBatch = batch
        configuration.maximumWaitingPerCaller = 1_000
        locks = try RedisLocks(.node(redis))
        let queue = SteppedQueue(inner: try RedisStreamQueue(redis), fate: fate)
        line = try WaitingLine(store: store, queue: queue, locks: locks, configuration: configuration)
        var options = ReservationService.Configuration()
        options.limits.minimumHold = .seconds(1)
        options.limits.liveHoldsPerHolder = nil
        options.strategy = .queued(line)
        service = try ReservationService(store: store, configuration: options)
    }

    static let partitions = 3

    private static func store(at place: String) async throws -> any QueueingReservationStore {
        guard place.hasPrefix("postgresql:") else { return try await SQLiteReservationStore.open(place) }
        var pool = PostgreSQLReservationStore.Configuration()
        pool.maximumConnections = 6
        return try PostgreSQLReservationStore(url: place, configuration: pool)
    }

    /// Runs the lines while `body` does.
    func running(_ body: @escaping @Sendable () async throws -> Void) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { try await line.run() }
            defer { group.cancelAll() }
            while !line.isRunning {
                try await Task.sleep(for: .milliseconds(2))  // sleep: the pace of looking
            }
            try await body()
        }
    }
}

/// A process that decides, until it is killed or told to end; with buyers of its own whose requests die with it.
enum LineOwner {
    static func run(_ arguments: ArraySlice<String>) async throws {
        let options = try Options(arguments)
        let process = try await LineProcess(
            store: options["store"] ?? "", redis: options["redis"] ?? "", fate: options["die"], batch: 4)
        try await process.running {
            say("ready")
            if let name = options["buyers"] {
                for number in 0... {
                    say("asking \(name)-\(number)")
                    do throws(ReservationError) {
                        _ = try await process.service.submit(
                            [Line(.counted("item"))], for: "\(name)-\(number)", key: "reserve")
                        say("accepted \(name)-\(number)")
                    } catch {
                        say("retry \(error.code.name)")
                    }
                    try await Task.sleep(for: .milliseconds(5))  // sleep: the pace of buyers
                }
            }
            while !Parent.wantsAnEnd {
                try await Task.sleep(for: .milliseconds(20))  // sleep: as long as the test needs it
            }
        }
    }
}
