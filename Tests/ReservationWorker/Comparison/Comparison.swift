import Foundation
import RedisLocks
import Reservations
import ReservationsPostgreSQL
import ReservationsSQLite
import TestSupport

/// Strategy by store, one hot item and a thousand, beside what `pgbench` reaches on the same server with the same call of the
/// schema's function, and with the statements of which that consists, in turns in the same run.
struct Comparison {
    private let seconds: Int
    private let rounds: Int
    private let reservers: Int
    private let connections: Int
    private let hasPgbench: Bool
    private let partitions: Int
    /// Which to compare; all, when none is named.
    private let strategies: Set<String>
    private let storeNames: Set<String>
    private let itemCounts: [Int]

    init(_ arguments: ArraySlice<String>) throws {
        let options = try Options(arguments)
        seconds = try options.number("seconds", 4)
        rounds = try options.number("rounds", 2)
        reservers = try options.number("reservers", 32)
        connections = try options.number("connections", PostgreSQLReservationStore.Configuration().maximumConnections)
        hasPgbench = options["pgbench"] != "no"
        partitions = try options.number("partitions", WaitingLine.Configuration().partitions)
        let words = { (name: String) in (options[name] ?? "").split(separator: ",").map(String.init) }
        strategies = Set(words("strategies"))
        storeNames = Set(words("stores"))
        let counts = words("items").compactMap(Int.init)
        itemCounts = counts.isEmpty ? [1, 1_000] : counts
    }

    /// What is compared, and what it is beside.
    private struct Contestant {
        let storeName: String
        let store: any ReservationStore
        let strategy: Strategy
        var bench: Pgbench.Rule?
    }

    /// Returns whether nothing was oversold or lost.
    func run() async throws -> Bool {
        var options = PostgreSQLTestCluster.Options()
        options.isDurable = true
        return try await PostgreSQLTestCluster.with(options) { cluster in
            try await RedisTestServer.with { redis in
                try await withTemporaryDirectory { folder in
                    var pool = PostgreSQLReservationStore.Configuration()
                    pool.maximumConnections = connections
                    let postgres = try PostgreSQLReservationStore(url: cluster.url, configuration: pool)
                    let sqlite = try await SQLiteReservationStore.open("\(folder)/compare.db")
                    return try await run(on: postgres, sqlite, redis, cluster)
                }
            }
        }
    }

    private func run(
        on postgres: PostgreSQLReservationStore, _ sqlite: SQLiteReservationStore, _ redis: RedisTestServer,
        _ cluster: PostgreSQLTestCluster
    ) async throws -> Bool {
        let stores = [postgres, sqlite] as [any ReservationStore]
        for store in stores { try await store.migrate() }
        let locks = try RedisLocks(.node(redis.url))
        let lines = [
            try Line(postgres, "postgresql", redis, locks, partitions),
            try Line(sqlite, "sqlite", redis, locks, partitions),
        ]
        let contestants = contestants(postgres, lines[0], locks, hasBench: true) + contestants(sqlite, lines[1], locks)
        let bench = Pgbench(
            programs: cluster.programs, port: cluster.port, schema: PostgreSQLReservationStore.Configuration().schema,
            connections: connections)
        try await stockBench(postgres)
        let isWell = try await withThrowingTaskGroup(of: Void.self) { group in
            for line in lines { group.addTask { try await line.waitingLine.run() } }
            defer { group.cancelAll() }
            for line in lines { try await waitUntil("the lines run") { line.waitingLine.isRunning } }
            var isWell = try await compare(contestants, bench)
            for store in stores { isWell = try await audit(store) && isWell }
            return isWell
        }
        say(isWell ? "ok" : "FAILED")
        for line in lines { await line.queue.close() }
        for store in stores { await store.close() }
        await locks.shutdown()
        return isWell
    }

    private func contestants(
        _ store: any ReservationStore, _ line: Line, _ locks: RedisLocks, hasBench: Bool = false
    ) -> [Contestant] {
        let strategies: [(Strategy, Pgbench.Rule?)] = [
            (.atomic, .atomic), (.pessimistic(), .pessimistic), (.optimistic(), nil), (.locked(locks), nil),
            // Beside what a transaction for each request could do at best.
            (.queued(line.waitingLine), .atomic),
        ]
        let isAsked = { (all: Set<String>, name: String) in all.isEmpty || all.contains(name) }
        return strategies.filter { isAsked(self.strategies, $0.0.name) && isAsked(storeNames, line.name) }.map {
            Contestant(storeName: line.name, store: store, strategy: $0.0, bench: hasBench ? $0.1 : nil)
        }
    }

    /// A waiting line for a store.
    private struct Line {
        let name: String
        let queue: RedisStreamQueue
        let waitingLine: WaitingLine

        init(
            _ store: any QueueingReservationStore, _ name: String, _ redis: RedisTestServer, _ locks: RedisLocks,
            _ partitions: Int
        ) throws {
            self.name = name
            var streams = RedisStreamQueue.Configuration()
            streams.prefix = "\(name):"
            queue = try RedisStreamQueue(redis.url, configuration: streams)
            var configuration = WaitingLine.Configuration()
            configuration.partitions = partitions
            configuration.lockPrefix = "line:\(name):"
            waitingLine = try WaitingLine(store: store, queue: queue, locks: locks, configuration: configuration)
        }
    }

    private func stockBench(_ store: any ReservationStore) async throws {
        for item in 1...1_000 {
            _ = try await store.restock(
                StockChange(bucket: .counted("bench \(item)"), delta: 1_000_000, actor: "stock"))
        }
    }

    private func audit(_ store: any ReservationStore) async throws -> Bool {
        let findings = try await store.audit(grace: .seconds(3_600)).findings
        for finding in findings { say("BAD \(finding.detail)") }
        return findings.isEmpty
    }

    /// What one contestant has reached, and pgbench beside it.
    private struct Result {
        var measurement = Measurement()
        var call = 0.0
        var statements = 0.0
    }

    private func compare(_ contestants: [Contestant], _ bench: Pgbench) async throws -> Bool {
        explain()
        var isWell = true
        for items in itemCounts {
            var results = [Result](repeating: Result(), count: contestants.count)
            for round in 0..<rounds {
                // In turns, so that what else the machine does hits all of them.
                for (index, contestant) in contestants.enumerated() {
                    try await measure(contestant, bench, items, round, &results[index])
                }
            }
            for (index, contestant) in contestants.enumerated() {
                let soldOut = items == 1 ? try await sellOut(contestant) : nil
                // Told in any case: one that failed is no reason to keep the others back.
                isWell = report(contestant, items, results[index], soldOut) && isWell
            }
        }
        return isWell
    }

    private func explain() {
        say(
            """
            \(reservers) reservers in a closed loop, \(rounds) rounds of \(seconds) s each, every hold on the disk.
            To PostgreSQL: \(connections) connections over TCP, for the library and for pgbench, in one schema, with the same settings.
            cpu us: what this process spends for a hold, without the servers.
            call: pgbench makes the library's one call of `claim`. SQL: it sends the strategy's statements, one after the other.
            """)
        say(
            Self.row([
                "store", "items", "strategy", "holds/s", "tries", "p50 ms", "p99 ms", "not held", "oversell", "drift",
                "sell-out", "cpu us", "call tps", "ratio", "SQL tps", "ratio",
            ]))
    }

    private func measure(
        _ contestant: Contestant, _ bench: Pgbench, _ items: Int, _ round: Int, _ result: inout Result
    ) async throws {
        let names = (0..<items).map { Bucket.counted("\(contestant.strategy.name) \(items) \(round) \($0)") }
        let rush = Rush(store: contestant.store, strategy: contestant.strategy, items: names, reservers: reservers)
        let measurement = try await rush.run(for: .seconds(seconds), capacity: 1_000_000)
        result.measurement += measurement
        guard let rule = contestant.bench, hasPgbench else { return }
        // About as many as the library made in its time.
        let count = max(5, measurement.latencies.count / connections)
        result.call += try await bench.run(.call(rule), items: items, count: count) / Double(rounds)
        result.statements += try await bench.run(.statements(rule), items: items, count: count) / Double(rounds)
    }

    private static let scarce = 100

    /// Everybody wants the last hundred.
    private func sellOut(_ contestant: Contestant) async throws -> Measurement {
        let bucket = Bucket.counted("\(contestant.strategy.name) scarce")
        return try await Rush(
            store: contestant.store, strategy: contestant.strategy, items: [bucket], reservers: reservers
        ).run(for: .seconds(60), capacity: Self.scarce)
    }

    private func report(
        _ contestant: Contestant, _ items: Int, _ all: Result, _ soldOut: Measurement?
    ) -> Bool {
        let result = all.measurement
        let number = { (value: Double, digits: Int) in String(format: "%.\(digits)f", value) }
        let oversold = result.oversold + (soldOut?.oversold ?? 0)
        let drift = result.drift + (soldOut?.drift ?? 0)
        say(
            Self.row(
                [
                    contestant.storeName, "\(items)", contestant.strategy.name, number(result.holdsPerSecond, 0),
                    number(result.attemptsPerSuccess, 2), number(result.percentile(0.5), 1),
                    number(result.percentile(0.99), 1), "\(result.refused.values.reduce(0, +))", "\(oversold)",
                    "\(drift)",
                    soldOut.map { "\($0.latencies.count)/\(Self.scarce)" } ?? "-",
                    number(result.cpuMicrosecondsPerHold, 0),
                ]
                    + [all.call, all.statements].flatMap { tps in
                        tps > 0 ? [number(tps, 0), number(result.holdsPerSecond / tps, 2)] : ["-", "-"]
                    }))
        return oversold == 0 && drift == 0 && soldOut.map { $0.latencies.count == Self.scarce } ?? true
    }

    private static func row(_ cells: [String]) -> String {
        let widths = [10, 5, 11, 7, 5, 6, 7, 8, 8, 5, 8, 6, 8, 5, 8, 5]
        return zip(cells, widths).map { cell, width in
            String(repeating: " ", count: max(0, width - cell.count)) + cell
        }.joined(separator: "  ")
    }
}
