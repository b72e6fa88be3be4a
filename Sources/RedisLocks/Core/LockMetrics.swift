import Metrics
import Synchronization

/// The metrics, made once. Names follow Prometheus' conventions; the documentation lists them.
final class LockMetrics: Sendable {
    let acquired = Counter(label: "redis_locks_acquired_total")
    let confirmRounds = Counter(label: "redis_locks_confirm_rounds_total")
    let released = Counter(label: "redis_locks_released_total")
    let releaseUnknown = Counter(label: "redis_locks_release_unknown_total")
    let renewed = Counter(label: "redis_locks_renewals_total", dimensions: [("outcome", "renewed")])
    let renewalFailed = Counter(label: "redis_locks_renewals_total", dimensions: [("outcome", "failed")])
    let acquireTime = Timer(label: "redis_locks_acquire_seconds")
    let holdTime = Timer(label: "redis_locks_hold_seconds")
    let renewalTime = Timer(label: "redis_locks_renewal_seconds")
    let renewalLag = Timer(label: "redis_locks_renewal_lag_seconds")

    private struct Key: Hashable {
        let label: String
        let dimensions: [String]
    }

    private let counters = Mutex<[Key: Counter]>([:])
    private let timers = Mutex<[Key: Timer]>([:])

    func failed(_ code: LockError.Code) -> Counter {
        counter("redis_locks_failed_total", [("code", code.description)])
    }

    func lost(_ reason: LeaseLossReason) -> Counter {
        counter("redis_locks_lost_total", [("reason", reason.rawValue)])
    }

    func replanted(at node: String) -> Counter {
        counter("redis_locks_replanted_total", [("node", node)])
    }

    func clockStepped(at node: String) -> Counter {
        counter("redis_locks_clock_steps_total", [("node", node)])
    }

    func record(_ node: NodeTiming) {
        let label = node.report.node
        counter("redis_locks_node_outcomes_total", [("node", label), ("outcome", node.report.outcome.label)])
            .increment()
        guard let latency = node.latency else { return }
        let timer = timers.withLock { timers in
            let key = Key(label: "redis_locks_node_seconds", dimensions: [label])
            if let timer = timers[key] { return timer }
            let timer = Timer(label: key.label, dimensions: [("node", label)])
            timers[key] = timer
            return timer
        }
        timer.recordNanoseconds(latency.nanoseconds)
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

extension NodeReport.Outcome {
    /// A constant word: fit for a metric's label.
    var label: String {
        switch self {
        case .won: "won"
        case .heldByOther: "held"
        case .quarantined: "quarantined"
        case .clockSkewed: "clock_skewed"
        case .refused: "refused"
        case .timedOut: "timed_out"
        case .unreachable: "unreachable"
        case .notNeeded: "not_needed"
        }
    }
}
