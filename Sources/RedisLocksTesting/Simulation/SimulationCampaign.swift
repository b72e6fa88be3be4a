import Reactor
import RedisLocks

/// What came of many schedules.
package struct SimulationTotals: Sendable {
    package private(set) var schedules = 0
    package private(set) var events = 0
    package private(set) var faults = 0
    package private(set) var operations = 0
    package private(set) var grants = 0
    package private(set) var sometimes = SometimesCounts()
    /// Of the schedules that found something: the first few.
    package private(set) var failures: [SimulationResult] = []
    package private(set) var failureCount = 0
    /// The smallest schedule, in clients and events, and the number that had no fault at all.
    package private(set) var fewestEvents = Int.max
    /// Differs when any schedule went differently.
    package private(set) var digest: UInt64 = 0

    package init() {}

    mutating func add(_ result: SimulationResult) {
        schedules += 1
        events += result.events
        faults += result.faultsStruck
        operations += result.operations
        grants += result.grants
        sometimes.add(result.sometimes)
        fewestEvents = min(fewestEvents, result.events)
        digest = (digest &+ result.digest) &* 0x9E37_79B9_7F4A_7C15
        guard !result.violations.isEmpty else { return }
        failureCount += 1
        if failures.count < 5 { failures.append(result) }
    }
}

/// Runs many schedules, one after the other, on one reactor: one core.
package struct SimulationCampaign: Sendable {
    package var options: SimulationOptions
    /// Ends the campaign at the first failure.
    package var stopsAtFailure = false
    package var deadline: ContinuousClock.Instant?

    package init(options: SimulationOptions = SimulationOptions()) {
        self.options = options
    }

    /// The reactor is busy until it is done.
    package func run(seeds: Range<UInt64>, on reactor: Reactor) async -> SimulationTotals {
        await Self.perform(on: reactor) {
            var totals = SimulationTotals()
            for seed in seeds {
                totals.add(Simulation.run(seed: seed, options: options, on: reactor))
                if stopsAtFailure, totals.failureCount > 0 { break }
                if let deadline, totals.schedules % 64 == 0, .now >= deadline { break }
            }
            return totals
        }
    }

    package static func perform<Result: Sendable>(
        on reactor: Reactor, _ work: @escaping @Sendable () -> Result
    ) async -> Result {
        await withCheckedContinuation { continuation in
            reactor.execute { continuation.resume(returning: work()) }
        }
    }

    /// Looks for the first schedule that finds the mistake. Only in builds that have mutants.
    package func run(seeds: Range<UInt64>, with mutant: Mutant, on reactor: Reactor) async -> SimulationTotals {
        #if REDIS_LOCKS_MUTANTS
            var campaign = self
            campaign.stopsAtFailure = true
            Mutant.current = mutant
            defer { Mutant.current = nil }
            return await campaign.run(seeds: seeds, on: reactor)
        #else
            preconditionFailure("This build has no mutants: set REDIS_LOCKS_MUTANTS when building.")
        #endif
    }

    /// Whether this build has the mistakes that the simulator must find.
    package static var hasMutants: Bool {
        #if REDIS_LOCKS_MUTANTS
            true
        #else
            false
        #endif
    }
}
