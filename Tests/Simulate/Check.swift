import Reactor
import RedisLocks
import RedisLocksTesting

/// What `scripts/test` runs: each line of it is a test.
struct Check {
    let arguments: Arguments
    let reactor: Reactor
    let session: Session
    private static let seeds: Range<UInt64> = 1..<2001
    private static let mutantSeeds: Range<UInt64> = 1..<20_001

    func run(corpus: SimulationCorpus) async -> Bool {
        var (passed, failed) = (0, 0)
        func expect(_ condition: Bool, _ sentence: String) {
            if condition { passed += 1 } else { failed += 1 }
            print(condition ? "passed: \(sentence)" : "FAILED: \(sentence)")
        }

        let totals = await SimulationCampaign().run(seeds: Self.seeds, on: reactor)
        expect(totals.failureCount == 0, "nothing is violated in \(totals.schedules) schedules")
        expect(totals.fewestEvents >= 200, "no schedule has fewer than 200 events")
        for happening in Sometimes.allCases {
            expect(totals.sometimes[happening] > 0, "\(happening) happens: \(totals.sometimes[happening]) times")
        }
        if let failure = totals.failures.first { await session.explain(failure) }

        for entry in corpus.entries {
            let options = SimulationOptions(regime: entry.regime)
            let result = await SimulationCampaign(options: options)
                .run(seeds: entry.seed..<entry.seed + 1, on: reactor)
            expect(result.failureCount == 0, "seed \(entry.seed), which once failed, does not")
        }

        let again = await SimulationCampaign().run(seeds: Self.seeds, on: reactor)
        expect(again.digest == totals.digest, "the same seeds do the same")

        for mutant in Mutant.allCases {
            let totals = await SimulationCampaign().run(seeds: Self.mutantSeeds, with: mutant, on: reactor)
            expect(totals.failureCount > 0, "the mutant \(mutant.rawValue) is caught (schedule \(totals.schedules))")
        }
        print("\(passed) passed, \(failed) failed")
        return failed == 0
    }
}
