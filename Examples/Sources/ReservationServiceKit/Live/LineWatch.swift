import Metrics
import Reservations

/// How far the waiting lines are behind: for the operator and for metrics, at most once in a second.
package actor LineWatch {
    package struct Lag: Sendable, Equatable {
        package let line: Int
        /// How many requests wait.
        package let waiting: Int
        /// For how many whole seconds the oldest of them has waited.
        package let oldestSeconds: Int
    }

    private let line: WaitingLine
    private var last: (lags: [Lag], at: ContinuousClock.Instant)?

    package init(line: WaitingLine) {
        self.line = line
    }

    /// - Throws: ``ReservationError/Code/unavailable`` and what else a store that is away or busy comes to.
    package func lags() async throws(ReservationError) -> [Lag] {
        if let last, ContinuousClock.now - last.at < .seconds(1) { return last.lags }
        let lags = try await line.lag().enumerated().map { number, lag in
            Lag(line: number, waiting: lag.waiting, oldestSeconds: Int((lag.oldest ?? .zero).components.seconds))
        }
        last = (lags, .now)
        for lag in lags {
            let labels = [("line", String(lag.line))]
            Gauge(label: "reservations_line_waiting", dimensions: labels).record(lag.waiting)
            Gauge(label: "reservations_line_oldest_seconds", dimensions: labels).record(lag.oldestSeconds)
        }
        return lags
    }
}
