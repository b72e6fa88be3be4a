import Reactor
import RedisLocks
import RedisLocksTesting

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// One run of `scripts/simulate`.
struct Session {
    let arguments: Arguments
    let reactor: Reactor

    /// The schedules within which each mutant must be found, at most.
    private static let mutantLimit: UInt64 = 50_000

    init(_ arguments: Arguments, reactor: Reactor) {
        self.arguments = arguments
        self.reactor = reactor
    }

    private var seeds: Range<UInt64> {
        let count = arguments.schedules ?? (arguments.minutes == nil ? 2000 : UInt64(Int.max) / 2)
        return arguments.firstSeed..<arguments.firstSeed + count
    }

    /// Returns whether all is well.
    func run() async -> Bool {
        if arguments.isMutantTable { return await tabulateMutants() }
        if let mutant = arguments.mutant { return await look(for: mutant) }
        if arguments.isTraced, seeds.count == 1 { return await replay() }
        return await search()
    }

    // MARK: Schedules

    private func search() async -> Bool {
        var campaign = SimulationCampaign(options: arguments.options)
        let (start, busyBefore) = (ContinuousClock.now, Self.processorSeconds)
        campaign.deadline = arguments.minutes.map { start + .seconds($0 * 60) }
        campaign.stopsAtFailure = arguments.minutes != nil
        let totals = await campaign.run(seeds: seeds, on: reactor)
        if arguments.isDigestOnly {
            print(String(totals.digest, radix: 16))
            return true
        }
        tell(totals, took: ContinuousClock.now - start, busy: Self.processorSeconds - busyBefore)
        if let failure = totals.failures.first { await explain(failure) }
        return totals.failureCount == 0
    }

    /// What this process has had of the processor; the machine may have more to do.
    private static var processorSeconds: Double {
        var time = timespec()
        guard clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) == 0 else { return 0 }
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }

    private func tell(_ totals: SimulationTotals, took duration: Duration, busy: Double) {
        let seconds = max(busy, 0.001)
        print(
            """
            \(totals.schedules) schedules (\(Int(Double(totals.schedules) / seconds))/s), \(totals.events) events \
            (\(Int(Double(totals.events) / seconds))/s) per second of one core, in \(Int(duration / .seconds(1))) s
            \(totals.operations) operations, \(totals.grants) grants, of which \(totals.sometimes[.secondRound]) took a \
            second round; \(totals.faults) faults; at least \(totals.fewestEvents) events in each schedule
            sometimes: \(Sometimes.allCases.map { "\($0) \(totals.sometimes[$0])" }.joined(separator: ", "))
            \(totals.failureCount) violations
            """)
    }

    func explain(_ failure: SimulationResult) async {
        let reactor = reactor
        let smallest = await SimulationCampaign.perform(on: reactor) {
            SimulationShrinker.shrink(failure, on: reactor)
        }
        print("\nSeed \(failure.seed), \(failure.regime), faults: \(failure.faults)")
        for violation in failure.violations.prefix(5) { print("  \(violation)") }
        print("\nIt also fails with \(smallest.clients) clients and the faults \(smallest.faults):")
        tellEnd(of: smallest)
        let mutant = arguments.mutant.map { " --mutant \($0.rawValue)" } ?? ""
        print(
            "\nReplay: scripts/simulate \(smallest.options.arguments(seed: failure.seed))\(mutant)   # at \(arguments.commit)"
        )
    }

    private func tellEnd(of result: SimulationResult) {
        for violation in result.violations.prefix(5) { print("  \(violation)") }
        for line in result.trace?.around(result.violatedAt) ?? [] { print("    \(line)") }
    }

    private func replay() async -> Bool {
        let (reactor, arguments) = (reactor, arguments)
        let result = await SimulationCampaign.perform(on: reactor) {
            Simulation.run(seed: arguments.firstSeed, options: arguments.options, on: reactor, isTraced: true)
        }
        for line in result.trace?.all ?? [] { print(line) }
        print("\(result.regime), faults: \(result.faults), \(result.events) events, \(result.grants) grants")
        for violation in result.violations { print(violation) }
        return result.violations.isEmpty
    }

    // MARK: Mutants

    private func look(for mutant: Mutant) async -> Bool {
        let totals = await search(for: mutant)
        guard let failure = totals.failures.first else { return false }
        #if REDIS_LOCKS_MUTANTS
            Mutant.current = mutant
            defer { Mutant.current = nil }
        #endif
        await explain(failure)
        return true
    }

    private func search(for mutant: Mutant) async -> SimulationTotals {
        let limit = arguments.firstSeed..<arguments.firstSeed + (arguments.schedules ?? Self.mutantLimit)
        return await SimulationCampaign(options: arguments.options).run(seeds: limit, with: mutant, on: reactor)
    }

    private func tabulateMutants() async -> Bool {
        var isComplete = true
        for mutant in Mutant.allCases {
            let totals = await search(for: mutant)
            let name = mutant.rawValue + String(repeating: " ", count: max(0, 24 - mutant.rawValue.count))
            if let failure = totals.failures.first {
                print(
                    "\(name) caught in schedule \(totals.schedules): \(failure.violations[0].kind), \(failure.regime)")
            } else {
                isComplete = false
                print("\(name) NOT caught in \(totals.schedules) schedules")
            }
        }
        return isComplete
    }
}
