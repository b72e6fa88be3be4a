import Reactor

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
    package let trace: SimulationTrace?
    /// When the last of those did what the first violation speaks of.
    package let violatedAt: Int64
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
            violations: simulation.violations, digest: simulation.digest, trace: simulation.trace,
            violatedAt: simulation.violations.first?.operations.map { operations[$0].returned ?? 0 }.max() ?? .max)
    }
}
