import RedisLocks
import RedisLocksTesting
import TestSupport

/// Many processes increment one counter under one lock, while faults go on; then what they did is checked.
struct Torture {
    private let seconds: Int
    private let processes: Int
    private let seed: UInt64

    init(_ arguments: Arguments) throws {
        seconds = try arguments.number("seconds", default: 120)
        processes = try arguments.number("processes", default: 8)
        seed = UInt64(try arguments.number("seed", default: Int.random(in: 1...1_000_000)))
    }

    /// Returns whether all went as promised.
    func run() async throws -> Bool {
        print("5 nodes, \(processes) processes, seed \(seed)")
        var isClean = true
        for kind in [TorturePhase.Kind.plain, .fenced, .majority] {
            let length = kind == .plain ? seconds : max(seconds / 4, kind == .majority ? 9 : 3)
            let phase = TorturePhase(kind: kind, seconds: length, processes: processes, seed: seed)
            let report = try await phase.run()
            print(report.text)
            if !report.isClean { isClean = false }
        }
        print(isClean ? "violations 0" : "VIOLATED")
        return isClean
    }
}

/// One set of nodes, one store, one kind of fault.
struct TorturePhase {
    enum Kind: String {
        /// Exclusion alone protects the counter; a minority of nodes is killed, wiped, stopped, restarted.
        case plain
        /// The store checks tokens; clients are stopped past their ttl as well.
        case fenced
        /// A majority is killed, and comes back.
        case majority
    }

    let kind: Kind
    let seconds: Int
    let processes: Int
    let seed: UInt64

    /// Short, so that pauses outlast it; a wiped node abstains for 4.02 s.
    static let ttl: Duration = .seconds(2)
    static let nodeTimeout: Duration = .milliseconds(300)
    var budget: Duration { kind == .majority ? .seconds(2) : .seconds(5) }

    func run() async throws -> TortureReport {
        var server = RedisTestServer.Options()
        server.isPersistent = true
        return try await RedisTestQuorum.with(.init(count: 5, server: server)) { quorum in
            try await RedisTestServer.with { store in
                try await withTemporaryDirectory { folder in try await run(quorum, store, folder) }
            }
        }
    }

    private func run(_ quorum: RedisTestQuorum, _ store: RedisTestServer, _ folder: String) async throws
        -> TortureReport
    {
        try await initialize(quorum)
        let workers = try (0..<processes).map { try start($0, quorum, store, folder) }
        defer { for worker in workers { worker.close() } }
        var nemesis = Nemesis(kind: kind, quorum: quorum, workers: workers, seed: seed)
        try await nemesis.rage(until: .now + .seconds(seconds))
        for worker in workers {
            guard try await worker.waitForExit(within: .seconds(60)) == 0 else {
                throw TestSupportError("A worker failed: \(worker.output)")
            }
        }
        var report = TortureReport(phase: self, faults: nemesis.counts, outages: nemesis.outages)
        report.counter = Int(try store.command("GET", "value")) ?? 0
        report.remainingLocks = try await remainingLocks(quorum)
        try report.read((0..<processes).map { ("\(folder)/history-\($0)", "\(folder)/stats-\($0)") })
        return report
    }

    /// What is still held on nodes that run, when everybody has ended and whatever a killed connection took has expired.
    private func remainingLocks(_ quorum: RedisTestQuorum) async throws -> [String] {
        let end = ContinuousClock.now + Self.ttl * 2
        var remaining: [Int]
        repeat {
            remaining = try quorum.holders(of: "counter")
            try await Task.sleep(for: .milliseconds(20))  // sleep: the pace of looking at servers
        } while !remaining.isEmpty && ContinuousClock.now < end
        return remaining.map { "counter at node \($0)" }
    }

    private func initialize(_ quorum: RedisTestQuorum) async throws {
        let nodes = LockNodes.redlock(quorum.urls.map { LockNodes.Node($0, isDurable: true) })
        try await RedisLocks.with(nodes) { locks in
            for node in try await locks.initializeNodes() where node.outcome != .initialized {
                throw TestSupportError("\(node)")
            }
        }
    }

    private func start(
        _ index: Int, _ quorum: RedisTestQuorum, _ store: RedisTestServer, _ folder: String
    ) throws -> SupervisedProcess {
        var arguments = ["loop", "--durable", "--store", store.url, "--name", "counter", "--client", "worker-\(index)"]
        for url in quorum.urls { arguments += ["--node", url] }
        arguments += ["--history", "\(folder)/history-\(index)", "--stats", "\(folder)/stats-\(index)"]
        arguments += ["--first-id", "\(index * 100_000_000)", "--seconds", "\(seconds)"]
        let settings = [
            ("ttl", Self.ttl), ("maximum-ttl", Self.ttl), ("node-timeout", Self.nodeTimeout), ("wait", budget),
        ]
        for (name, value) in settings { arguments += ["--\(name)", "\(Int(value / .milliseconds(1)))"] }
        if kind == .fenced { arguments.append("--fenced") }
        return try SupervisedProcess(SupervisedProcess.sibling("lock-worker"), arguments)
    }
}
