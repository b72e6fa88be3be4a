import Logging
import Metrics

/// Logs and metrics. Messages are constant; what varies is metadata, and of that no holder and no idempotency key: they may
/// identify a person.
final class ReservationObserver: Sendable {
    private let logger: Logger
    private let metrics = ReservationMetrics()

    init(logger: Logger) {
        self.logger = logger
    }

    // MARK: Reserving

    func claimed(_ result: StrategyResult, by strategy: Strategy) {
        metrics.attempts(by: strategy.name).increment(by: result.attempts)
        if result.staleFences > 0 {
            metrics.staleFences.increment(by: result.staleFences)
            logger.warning(
                "A row refused a stale fencing token: the lock was held by two, and the work of the older was dropped",
                metadata: ["strategy": "\(strategy.name)", "refused": "\(result.staleFences)"])
        }
        if result.fellBack {
            metrics.fallbacks(of: strategy.name).increment()
            logger.warning(
                "Reserving without the distributed lock: it is not to be had",
                metadata: ["strategy": "\(strategy.name)"])
        }
    }

    func reserved(
        _ reservation: Reservation, by strategy: Strategy, attempts: Int, since start: ContinuousClock.Instant
    ) {
        metrics.outcome("reserve", "held", strategy: strategy.name).increment()
        recordTime("reserve", since: start)
        logger.debug(
            "Reserved",
            metadata: [
                "reservation": "\(reservation.id)", "lines": "\(reservation.lines.count)",
                "strategy": "\(strategy.name)", "attempts": "\(attempts)",
            ])
    }

    func replayed(_ operation: String, by strategy: Strategy? = nil, since start: ContinuousClock.Instant) {
        metrics.outcome(operation, "replayed", strategy: strategy?.name ?? "").increment()
        recordTime(operation, since: start)
        logger.debug("Answered a repeated request", metadata: ["operation": "\(operation)"])
    }

    // MARK: Everything else

    func resolved(_ operation: String, _ reservation: Reservation, since start: ContinuousClock.Instant) {
        metrics.outcome(operation, "done").increment()
        recordTime(operation, since: start)
        logger.debug(
            "Reservation changed",
            metadata: [
                "operation": "\(operation)", "reservation": "\(reservation.id)",
                "state": "\(reservation.state.rawValue)",
            ])
    }

    func done(_ operation: String, since start: ContinuousClock.Instant) {
        metrics.outcome(operation, "done").increment()
        recordTime(operation, since: start)
    }

    func expired(_ count: Int) {
        guard count > 0 else { return }
        metrics.expired.increment(by: count)
        logger.debug("Holds expired", metadata: ["count": "\(count)"])
    }

    /// A request that ended with an error: what buyers cause is for debugging, what an operator must see to is not.
    func refused(
        _ operation: String, _ error: ReservationError, by strategy: Strategy? = nil,
        since start: ContinuousClock.Instant
    ) {
        metrics.outcome(operation, error.code.name, strategy: strategy?.name ?? "").increment()
        recordTime(operation, since: start)
        logger.log(
            level: error.code.logLevel, "Reservation request refused",
            metadata: [
                "operation": "\(operation)", "code": "\(error.code.name)", "attempts": "\(error.attempts)",
                "error": "\(error.message)",
            ])
    }

    private func recordTime(_ operation: String, since start: ContinuousClock.Instant) {
        metrics.time(operation).recordNanoseconds((ContinuousClock.now - start).nanoseconds)
    }
}

extension ReservationError.Code {
    fileprivate var logLevel: Logger.Level {
        switch self {
        case .misconfigured, .failed: .error
        case .outcomeUnknown, .unavailable: .warning
        case .busy: .info
        default: .debug
        }
    }
}

extension Duration {
    /// For swift-metrics.
    fileprivate var nanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds.multipliedReportingOverflow(by: 1_000_000_000).partialValue &+ attoseconds / 1_000_000_000
    }
}
