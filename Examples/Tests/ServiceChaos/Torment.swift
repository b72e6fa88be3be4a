import AsyncHTTPClient
import Foundation
import NIOCore
import RedislockKit
import TestSupport

/// What is done to the processes and to Redis while buyers come.
struct Torment: Sendable {
    enum Deed: String, CaseIterable {
        case kill = "processes killed and started again"
        case pause = "processes stopped past their locks"
        case empty = "Redis restarted empty"
    }

    let processes: [ServiceProcess]
    let redis: RedisTestServer
    let seconds: Double
    let pause: Duration

    /// Each deed at least once, then as it comes; ends when all processes answer again. How often each was done.
    func run() async throws -> [String: Int] {
        let start = ContinuousClock.now
        var done: [String: Int] = [:]
        var plan: [Deed] = [.kill, .pause, .empty]
        var rounds = 0
        while true {
            try await Task.sleep(for: .milliseconds(.random(in: 300...1_200)))  // sleep: the pace of the torment
            guard let deed = plan.first ?? Deed.allCases.randomElement() else { break }
            if plan.isEmpty, ContinuousClock.now - start >= .seconds(seconds) { break }
            plan = Array(plan.dropFirst())
            rounds += 1
            try await carryOut(deed, rounds)
            done[deed.rawValue, default: 0] += 1
        }
        for process in processes {
            try await waitUntil("\(process.name) is ready", within: .seconds(90)) {
                (try? await Self.get("\(process.url)/readyz"))?.status == 200
            }
        }
        // What was read late by a process that stood still is done, or was given up.
        try await Task.sleep(for: .seconds(2))  // sleep: what a process has read tells nobody of itself
        return done
    }

    private func carryOut(_ deed: Deed, _ round: Int) async throws {
        switch deed {
        case .kill:
            let victim = try await victim(round)
            try await victim.kill()
            try await victim.start()
        case .pause: try await victim(round).pause(for: pause)
        case .empty: try await RedisTestServer.blocking { [redis] in try redis.restartEmpty() }
        }
    }

    /// Whoever decides in the lines, as far as it can be seen; else anybody.
    private func victim(_ round: Int) async throws -> ServiceProcess {
        var most: (process: ServiceProcess, decisions: Double)?
        for process in processes {
            let decisions =
                (try? await Self.get("\(process.url)/metrics")).map {
                    Self.sum(of: "reservations_queue_decisions_total{", in: $0.text)
                } ?? 0
            if decisions > most?.decisions ?? 0 { most = (process, decisions) }
        }
        return most?.process ?? processes[round % processes.count]
    }

    /// Of those that run, since they were last started.
    func staleFences() async -> Int {
        var count = 0.0
        for process in processes {
            let metrics = try? await Self.get("\(process.url)/metrics").text
            count += Self.sum(of: "reservations_stale_fences_total", in: metrics ?? "")
        }
        return Int(count)
    }

    private static func sum(of name: String, in metrics: String) -> Double {
        metrics.split(separator: "\n").filter { $0.hasPrefix(name) }
            .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }.reduce(0, +)
    }

    private static func get(_ url: String) async throws -> (status: Int, text: String) {
        let response = try await HTTPClient.shared.execute(HTTPClientRequest(url: url), timeout: .seconds(5))
        let body = try await response.body.collect(upTo: 1 << 22)
        return (Int(response.status.code), String(buffer: body))
    }
}
