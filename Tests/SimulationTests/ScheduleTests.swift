import Reactor
import RedisLocks
import RedisLocksTesting
import Testing

/// A few schedules, with all of the compiler's checks; `scripts/simulate --check` runs thousands in a release build.
@Suite("Simulated schedules", .timeLimit(.minutes(5)))
struct ScheduleTests {
    private func onReactor<Result: Sendable>(_ work: @escaping @Sendable (Reactor) -> Result) async throws -> Result {
        let reactor = try Reactor(name: "simulation")
        let result = await SimulationCampaign.perform(on: reactor) { work(reactor) }
        await reactor.stopAndWait()
        return result
    }

    @Test("Nothing is violated, whatever goes wrong", arguments: SimulationRegime.allCases)
    func fixedSeeds(regime: SimulationRegime) async throws {
        let reactor = try Reactor(name: "simulation")
        let campaign = SimulationCampaign(options: SimulationOptions(regime: regime))
        let totals = await campaign.run(seeds: 1..<101, on: reactor)
        await reactor.stopAndWait()
        #expect(totals.schedules == 100)
        #expect(totals.fewestEvents >= 200)
        #expect(totals.grants > 0)
        for failure in totals.failures {
            Issue.record("scripts/simulate \(failure.options.arguments(seed: failure.seed)): \(failure.violations)")
        }
    }

    @Test("Seeds that once failed do not")
    func corpus() async throws {
        let folder = #filePath.prefix(upTo: #filePath.lastIndex(of: "/") ?? #filePath.endIndex)
        let corpus = try SimulationCorpus(parsing: try contents(of: "\(folder)/corpus.txt"))
        #expect(!corpus.entries.isEmpty)
        for entry in corpus.entries {
            let result = try await onReactor {
                Simulation.run(seed: entry.seed, options: SimulationOptions(regime: entry.regime), on: $0)
            }
            #expect(result.violations.isEmpty, "seed \(entry.seed)")
        }
    }

    @Test("A seed does the same every time, and another one something else")
    func determinism() async throws {
        let digests = try await onReactor { reactor in
            [7, 8, 7].map { (seed: UInt64) in Simulation.run(seed: seed, on: reactor) }.map(\.digest)
        }
        #expect(digests[0] == digests[2])
        #expect(digests[0] != digests[1])
    }

    @Test("To keep a trace changes nothing")
    func trace() async throws {
        let (silent, traced) = try await onReactor { reactor in
            (
                Simulation.run(seed: 11, on: reactor),
                Simulation.run(seed: 11, on: reactor, isTraced: true)
            )
        }
        #expect(silent.digest == traced.digest)
        #expect(silent.trace == nil)
        let lines = try #require(traced.trace).all
        #expect(lines.count > 100)
        #expect(traced.trace?.around(.max) == Array(lines.suffix(60)))
    }

    @Test("What is left out of a schedule is left out: faults, clients, operations")
    func smaller() async throws {
        let whole = try await onReactor { Simulation.run(seed: 21, on: $0) }
        let fault = try #require(whole.faults.list.first)
        var options = SimulationOptions()
        options.withoutFaults = SimulationFaults(fault)
        options.maximumClients = 2
        options.maximumOperations = 1
        let asked = options
        let smaller = try await onReactor { Simulation.run(seed: 21, options: asked, on: $0) }
        #expect(!smaller.faults.has(fault))
        #expect(smaller.clients == 2)
        #expect(smaller.operations < whole.operations)
        #expect(
            smaller.options.arguments(seed: 21)
                == "--seed 21 --schedules 1 --trace --without \(fault) --clients 2 --operations 1")
    }
}
