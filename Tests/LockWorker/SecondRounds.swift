#if os(Linux)
    import Metrics
    import RedisLocks
    import TestSupport

    /// How often an acquire needs a confirmation because the nodes' clocks differ, and the token is anchored to their seconds.
    ///
    /// One client, names that are new each time: a name that is in use has a counter of its own, so that nodes agree more often.
    struct SecondRounds {
        private let seconds: Int

        init(_ arguments: Arguments) throws {
            seconds = try arguments.number("seconds", default: 10)
        }

        func run() async throws {
            let metrics = CountingMetrics()
            MetricsSystem.bootstrap(metrics)
            print("5 nodes, clocks spread evenly; one client, new names, \(seconds) s each")
            for skew in [0, 5, 50] {
                try await RedisTestQuorum.with(.init(count: 5, hasClocks: true)) { quorum in
                    for (index, clock) in quorum.clocks.enumerated() {
                        try clock.jump(by: .microseconds(skew * 1000 * index / 4))
                    }
                    let before = metrics.value("redis_locks_confirm_rounds_total")
                    let acquires = try await measure(quorum)
                    let rounds = metrics.value("redis_locks_confirm_rounds_total") - before
                    let share = (Double(rounds) * 10_000 / Double(acquires)).rounded() / 100
                    print(
                        "skew \(skew) ms: \(acquires) acquires, \(rounds) rounds of CONFIRM, \(share) for each 100 acquires"
                    )
                }
            }
        }

        private func measure(_ quorum: RedisTestQuorum) async throws -> Int {
            var acquires = 0
            try await RedisLocks.with(.redlock(quorum.urls)) { locks in
                _ = try await locks.initializeNodes()
                let end = ContinuousClock.now + .seconds(seconds)
                while ContinuousClock.now < end {
                    acquires += 1
                    try await locks.acquire("name-\(acquires)").release()
                }
            }
            return acquires
        }
    }
#else
    import TestSupport

    struct SecondRounds {
        init(_ arguments: Arguments) throws {}
        func run() async throws { throw TestSupportError("There is no clock shim on this platform.") }
    }
#endif
