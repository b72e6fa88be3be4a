import Reactor
import RedisLocks
import RedisLocksTesting

let reactor = try Reactor(name: "simulation")
let count = UInt64(CommandLine.arguments.dropFirst().first ?? "200") ?? 200
let first = UInt64(CommandLine.arguments.dropFirst(2).first ?? "1") ?? 1
await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
    reactor.execute {
        var sometimes = SometimesCounts()
        var (events, grants, operations, faults, bad) = (0, 0, 0, 0, 0)
        let clock = ContinuousClock()
        let time = clock.measure {
            for seed in first..<first + count {
                let result = Simulation.run(seed: seed, on: reactor, isTraced: count == 1)
                events += result.events
                grants += result.grants
                operations += result.operations
                faults += result.faultsStruck
                sometimes.add(result.sometimes)
                if count == 1 { for line in result.trace { print(line) } }
                if !result.violations.isEmpty {
                    bad += 1
                    if bad < 6 { print(seed, result.regime, result.faults, result.violations.prefix(3)) }
                }
            }
        }
        print(count, "schedules", time, "events", events, "ops", operations, "grants", grants, "faults", faults, "bad", bad)
        for happening in Sometimes.allCases { print(happening, sometimes[happening]) }
        continuation.resume()
    }
}
