import Reactor

/// What happened last, as lines for people.
struct SimulationTrace {
    private(set) var lines: [String] = []
    private static let most = 4000

    mutating func add(_ now: Int64, _ text: @autoclosure () -> String) {
        if lines.count == Self.most { lines.removeFirst(Self.most / 2) }
        lines.append("\(now / 1_000_000).\(String(now % 1_000_000 + 1_000_000).dropFirst()) ms  \(text())")
    }
}

/// What came of one schedule.
package struct SimulationResult: Sendable {
    package let seed: UInt64
    package let options: SimulationOptions
    package let regime: SimulationRegime
    package let faults: SimulationFaults
    package let clients: Int
    package let events: Int
    package let faultsStruck: Int
    package let operations: Int
    package let grants: Int
    package let sometimes: SometimesCounts
    package let violations: [Violation]
    /// Equal for equal schedules, whatever the machine and the process.
    package let digest: UInt64
    package let trace: [String]
}

extension Simulation {
    /// Runs the schedule of a seed. Only on `reactor`.
    package static func run(
        seed: UInt64, options: SimulationOptions = SimulationOptions(), on reactor: Reactor, isTraced: Bool = false
    ) -> SimulationResult {
        reactor.checkIsolated()
        let simulation = Simulation(seed: seed, options: options, reactor: reactor, isTraced: isTraced)
        simulation.run()
        let plan = simulation.plan
        let operations = simulation.history.operations
        return SimulationResult(
            seed: seed, options: options, regime: plan.regime, faults: plan.faults, clients: plan.clients.count,
            events: simulation.eventCount, faultsStruck: simulation.faultCount, operations: operations.count,
            grants: operations.count { $0.token != nil }, sometimes: simulation.sometimes,
            violations: simulation.violations, digest: simulation.digest, trace: simulation.trace?.lines ?? [])
    }
}
