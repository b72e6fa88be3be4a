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

    private let store: any QueueingReservationStore
    private let lines: Int
    private var last: (lags: [Lag], at: ContinuousClock.Instant)?

    package init(store: any QueueingReservationStore, lines: Int) {
        self.store = store
        self.lines = lines
    }

    package func lags() async throws -> [Lag] {
        if let last, ContinuousClock.now - last.at < .seconds(1) { return last.lags }
        var lags: [Lag] = []
        for line in 0..<lines {
            let waiting = try await waiting(in: line)
            let oldest = waiting == 0 ? 0 : try await oldest(in: line)
            lags.append(Lag(line: line, waiting: waiting, oldestSeconds: oldest))
        }
        last = (lags, .now)
        for lag in lags {
            let labels = [("line", String(lag.line))]
            Gauge(label: "reservations_line_waiting", dimensions: labels).record(lag.waiting)
            Gauge(label: "reservations_line_oldest_seconds", dimensions: labels).record(lag.oldestSeconds)
        }
        return lags
    }

    private func waiting(in line: Int) async throws(StoreError) -> Int {
        var (count, number): (Int, Int64) = (0, 0)
        while true {
            let found = try await store.waiting(
                in: line, after: number, through: .max, longerThan: .zero, limit: Self.page)
            count += found.count
            guard found.count == Self.page, let last = found.last else { return count }
            number = last.number
        }
    }

    private static let page = 5_000

    /// The store tells who has waited for longer than so: asked with twice the time until nobody has, and then in between.
    private func oldest(in line: Int) async throws(StoreError) -> Int {
        var (known, limit) = (0, 1)
        while limit < Self.longest, try await isAnybody(in: line, longerThan: limit) {
            known = limit
            limit *= 2
        }
        while limit - known > 1 {
            let middle = (known + limit) / 2
            if try await isAnybody(in: line, longerThan: middle) { known = middle } else { limit = middle }
        }
        return known
    }

    private static let longest = 1 << 20

    private func isAnybody(in line: Int, longerThan seconds: Int) async throws(StoreError) -> Bool {
        try await !store.waiting(in: line, after: 0, through: .max, longerThan: .seconds(seconds), limit: 1).isEmpty
    }
}
