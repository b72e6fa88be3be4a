import AsyncHTTPClient
import Foundation
import RedislockKit
import ReservationServiceKit
import Reservations
import TestSupport

/// Three processes of the service on one PostgreSQL and one Redis, a rush over all of them for each strategy, and meanwhile
/// processes are killed and stopped, and Redis forgets everything.
struct Chaos {
    let program: String
    let strategies: [StrategyName]
    let seconds: Double
    let buyersPerSecond: Double

    private static let token = "operator-of-chaos"
    /// Locks of claims and of lines live for 5 s: whoever stands still for this long has lost them.
    private static let pause: Duration = .seconds(6.5)

    /// Returns what is wrong; nothing when all is well.
    func run() async throws -> [String] {
        try await RedisTestServer.with { redis in
            // Not flushed to the disk: what was committed survives the death of processes, and no machine dies here.
            return try await PostgreSQLTestCluster.with { cluster in
                let arguments = [
                    "--store", cluster.url, "--node", redis.url, "--admin-token", Self.token, "--rate", "100000",
                ]
                let processes = try (1...3).map {
                    try ServiceProcess("process \($0)", program: program, arguments: arguments)
                }
                defer { for process in processes { process.end() } }
                // One after the other: the first makes the schema.
                for process in processes { try await process.start() }
                return try await rush(on: processes, redis, store: cluster.url)
            }
        }
    }

    private func rush(
        on processes: [ServiceProcess], _ redis: RedisTestServer, store: String
    ) async throws -> [String] {
        let torment = Torment(processes: processes, redis: redis, seconds: seconds, pause: Self.pause)
        let deeds = Task { try await torment.run() }
        var flaws: [String] = []
        flaws += try await withThrowingTaskGroup(of: [String].self) { group in
            for strategy in strategies {
                let plan = plan(for: strategy, at: processes.map(\.url))
                group.addTask { try await Self.outcome(of: plan, after: deeds) }
            }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        let done = try await deeds.value
        Console.print(
            "deeds: " + done.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", "))
        Console.print(
            "stale fences refused, as far as the processes live that were refused: \(await torment.staleFences())")
        flaws += try await isBack(processes)
        flaws += try await Self.audit(store)
        for process in processes where !flaws.isEmpty {
            Console.print("\(process.name) says:\n\(process.log.suffix(4_000))")
        }
        return flaws
    }

    private func plan(for strategy: StrategyName, at urls: [String]) -> RushPlan {
        var plan = RushPlan(urls: urls, item: "drop-\(strategy.rawValue)")
        plan.buyers = max(1, Int(seconds * buyersPerSecond))
        // Too few for all, and what is cancelled or expires is wanted again.
        plan.units = max(1, plan.buyers / 5)
        (plan.seconds, plan.duplicatePercent) = (seconds, 20)
        (plan.isLifecycle, plan.hold) = (true, .seconds(4))
        plan.adminToken = Self.token
        // Who hears nothing asks elsewhere, with the same key.
        plan.answerTime = .seconds(3)
        plan.patience = .seconds(90)
        return plan
    }

    /// Nothing is counted before the last deed is done and everybody is back.
    private static func outcome(of plan: RushPlan, after deeds: Task<[String: Int], any Error>) async throws -> [String]
    {
        let result = try await Rush(plan).run(beforeCounting: { _ = try await deeds.value })
        Console.print("\(plan.item):\n\(result.table)")
        if result.isClean { return [] }
        return ["\(plan.item) is not clean"]
    }

    /// By itself: nobody was told to do anything. A reservation through each process, under each strategy.
    private func isBack(_ processes: [ServiceProcess]) async throws -> [String] {
        var flaws: [String] = []
        for process in processes {
            for strategy in strategies {
                var plan = RushPlan(url: process.url, item: "drop-\(strategy.rawValue)")
                (plan.units, plan.buyers, plan.seconds, plan.adminToken) = (1, 1, 0.1, Self.token)
                plan.patience = .seconds(60)
                let result = try await Rush(plan).run()
                if result.confirmed != 1 || !result.isClean {
                    flaws.append("\(process.name) does not sell under \(strategy.rawValue):\n\(result.table)")
                }
            }
        }
        return flaws
    }

    private static func audit(_ place: String) async throws -> [String] {
        let store = try await StoreChoice.open(place)
        var flaws: [String] = []
        do {
            let report = try await store.audit(grace: .seconds(30))
            Console.print(
                "audit: \(report.buckets) buckets, \(report.reservations) reservations, \(report.findings.count) findings"
            )
            flaws += report.findings.map { "\($0.rule.rawValue): \($0.detail)" }
            for partition in 0..<Shop.linePartitions {
                let waiting = try await store.waiting(
                    in: partition, after: 0, through: .max, longerThan: .zero, limit: 10)
                if !waiting.isEmpty { flaws.append("\(waiting.count) requests wait in line \(partition) still") }
            }
        } catch {
            await store.close()
            throw error
        }
        await store.close()
        return flaws
    }
}
