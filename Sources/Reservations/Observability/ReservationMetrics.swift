import Metrics
import Synchronization

/// The metrics, made once. Names follow Prometheus' conventions; the documentation lists them. Labels come from small sets:
/// never an item, a holder or an id.
final class ReservationMetrics: Sendable {
    let expired = Counter(label: "reservations_expired_total")
    let staleFences = Counter(label: "reservations_stale_fences_total")

    private struct Key: Hashable {
        let label: String
        let dimensions: [String]
    }

    private let counters = Mutex<[Key: Counter]>([:])
    private let timers = Mutex<[Key: Timer]>([:])

    /// One for each answer of the service: `code` is `held`, `done`, `replayed` or the code of an error.
    func outcome(_ operation: String, _ code: String, strategy: String = "") -> Counter {
        counter(
            "reservations_outcomes_total", [("operation", operation), ("outcome", code), ("strategy", strategy)])
    }

    /// How often databases were asked to claim, the stores' own repetitions included.
    func attempts(by strategy: String) -> Counter {
        counter("reservations_attempts_total", [("strategy", strategy)])
    }

    /// Claims that went on without the distributed lock.
    func fallbacks(of strategy: String) -> Counter {
        counter("reservations_lock_fallbacks_total", [("strategy", strategy)])
    }

    /// How long callers waited for an answer.
    func time(_ operation: String) -> Timer {
        timers.withLock { timers in
            let key = Key(label: operation, dimensions: [])
            if let timer = timers[key] { return timer }
            let timer = Timer(label: "reservations_seconds", dimensions: [("operation", operation)])
            timers[key] = timer
            return timer
        }
    }

    private func counter(_ label: String, _ dimensions: [(String, String)]) -> Counter {
        counters.withLock { counters in
            let key = Key(label: label, dimensions: dimensions.map(\.1))
            if let counter = counters[key] { return counter }
            let counter = Counter(label: label, dimensions: dimensions)
            counters[key] = counter
            return counter
        }
    }
}
