import Reactor
import RedisLocks

/// Makes a failure smaller: without fault after fault, then with fewer clients, then with fewer operations.
package enum SimulationShrinker {
    /// The smallest schedule found that still fails, with its trace. Only on `reactor`.
    package static func shrink(_ failure: SimulationResult, on reactor: Reactor) -> SimulationResult {
        var best = failure
        func attempt(_ change: (inout SimulationOptions) -> Void) -> Bool {
            var options = best.options
            change(&options)
            let result = Simulation.run(seed: failure.seed, options: options, on: reactor)
            guard !result.violations.isEmpty else { return false }
            best = result
            return true
        }
        for fault in failure.faults.list { _ = attempt { $0.withoutFaults.insert(SimulationFaults(fault)) } }
        while best.clients > 1, attempt({ $0.maximumClients = best.clients - 1 }) {}
        for operations in 1..<8 where attempt({ $0.maximumOperations = operations }) { break }
        return Simulation.run(seed: failure.seed, options: best.options, on: reactor, isTraced: true)
    }
}

extension SimulationOptions {
    /// The arguments of `scripts/simulate` that run this one schedule.
    package func arguments(seed: UInt64) -> String {
        var words = ["--seed \(seed)", "--schedules 1", "--trace"]
        if let regime { words.append("--regime \(regime.rawValue)") }
        if !withoutFaults.isEmpty { words.append("--without \(withoutFaults)") }
        if maximumClients < .max { words.append("--clients \(maximumClients)") }
        if maximumOperations < .max { words.append("--operations \(maximumOperations)") }
        return words.joined(separator: " ")
    }
}
