import RedisLocks
import TestSupport

/// How long an acquire takes with all of five nodes up, and with one of them stopped.
struct LatencyMeasurement {
    private let count: Int

    init(_ arguments: Arguments) throws {
        count = try arguments.number("count", default: 2000)
    }

    func run() async throws {
        try await RedisTestQuorum.with(.init(count: 5)) { quorum in
            let configuration = RedisLocks.Configuration()
            try await RedisLocks.with(.redlock(quorum.urls), configuration: configuration) { locks in
                _ = try await locks.initializeNodes()
                _ = try await measure(locks, "warm-up")
                let up = try await measure(locks, "5 of 5 nodes up")
                try quorum.servers[2].pause()
                let stopped = try await measure(locks, "1 of 5 stopped (SIGSTOP)")
                try quorum.servers[2].resume()
                print("node timeout: 500000 us (ttl 10 s)")
                print("median with one stopped / median with all up: \((stopped / up * 100).rounded() / 100)")
                print("median with one stopped / node timeout: \((stopped / 500_000 * 100_000).rounded() / 100_000)")
            }
        }
    }

    /// The median in microseconds.
    private func measure(_ locks: RedisLocks, _ what: String) async throws -> Double {
        var times: [Duration] = []
        for _ in 0..<count {
            let start = ContinuousClock.now
            let lease = try await locks.acquire("x")
            times.append(start.duration(to: .now))
            try await lease.release()
        }
        times.sort()
        func microseconds(_ part: Double) -> Double {
            (times[Int(Double(times.count - 1) * part)] / .microseconds(1)).rounded()
        }
        print(
            "\(what): acquire median \(microseconds(0.5)) us, p99 \(microseconds(0.99)) us, max \(microseconds(1)) us, n \(count)"
        )
        return microseconds(0.5)
    }
}
