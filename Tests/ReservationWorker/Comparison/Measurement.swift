import Foundation
import Reservations
import Synchronization

/// How fast one strategy holds.
struct Measurement: Sendable {
    var seconds = 0.0
    /// In milliseconds.
    var latencies: [Double] = []
    var attempts = 0
    var refused: [String: Int] = [:]
    /// Acknowledged holds that are not on the buckets, or the other way round.
    var drift = 0
    var oversold = 0
    /// Of this process, user's and system's.
    var cpuSeconds = 0.0

    var cpuMicrosecondsPerHold: Double { latencies.isEmpty ? 0 : cpuSeconds / Double(latencies.count) * 1e6 }
    var holdsPerSecond: Double { seconds > 0 ? Double(latencies.count) / seconds : 0 }
    var attemptsPerSuccess: Double { latencies.isEmpty ? 0 : Double(attempts) / Double(latencies.count) }

    func percentile(_ share: Double) -> Double {
        guard !latencies.isEmpty else { return 0 }
        let sorted = latencies.sorted()
        return sorted[min(sorted.count - 1, Int(share * Double(sorted.count)))]
    }

    static func += (left: inout Measurement, right: Measurement) {
        left.seconds += right.seconds
        left.latencies += right.latencies
        left.attempts += right.attempts
        left.refused.merge(right.refused, uniquingKeysWith: +)
        left.drift += right.drift
        left.oversold += right.oversold
        left.cpuSeconds += right.cpuSeconds
    }

    /// What this process has spent so far.
    static var cpuSpent: Double {
        var time = timespec()
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
    }
}

/// Many who reserve from the same items at once, each as soon as he was answered: a closed loop through the whole service,
/// with idempotency keys.
struct Rush: Sendable {
    let store: any ReservationStore
    let strategy: Strategy
    let items: [Bucket]
    let reservers: Int

    /// A strategy that counts how often the store was asked.
    private final class Counted: ReservationStrategy {
        let inner: Strategy
        let attempts = Atomic(0)

        init(_ inner: Strategy) { self.inner = inner }

        var name: String { inner.name }

        func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
            let result = await inner.implementation.claim(claim, in: store)
            attempts.add(result.attempts, ordering: .relaxed)
            return result
        }
    }

    /// For this long, or until everything is sold out.
    func run(for limit: Duration?, capacity: Int) async throws -> Measurement {
        try await stock(capacity)
        let counted = Counted(strategy)
        var configuration = ReservationService.Configuration()
        configuration.strategy = Strategy(counted)
        configuration.limits.liveHoldsPerHolder = nil
        let service = try ReservationService(store: store, configuration: configuration)
        let (start, spent) = (ContinuousClock.now, Measurement.cpuSpent)
        let deadline = limit.map { start + $0 }
        var total = await withTaskGroup(of: Measurement.self) { group in
            for _ in 0..<reservers { group.addTask { await reserve(from: service, until: deadline) } }
            return await group.reduce(into: Measurement()) { $0 += $1 }
        }
        total.seconds = (ContinuousClock.now - start) / .seconds(1)
        total.cpuSeconds = Measurement.cpuSpent - spent
        total.attempts = counted.attempts.load(ordering: .relaxed)
        var held = 0
        for state in try await store.states(of: items) {
            held += state.held
            total.oversold += max(0, state.held + state.sold - state.capacity)
        }
        total.drift = abs(held - total.latencies.count)
        return total
    }

    /// A few at once: SQLite has one writer, and a limit for those who wait for it.
    private func stock(_ capacity: Int) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (index, bucket) in items.enumerated() {
                if index >= 8 { try await group.next() }
                group.addTask {
                    _ = try await store.restock(StockChange(bucket: bucket, delta: capacity, actor: "stock"))
                }
            }
            try await group.waitForAll()
        }
    }

    private func reserve(from service: ReservationService, until deadline: ContinuousClock.Instant?) async
        -> Measurement
    {
        var own = Measurement()
        while deadline.map({ ContinuousClock.now < $0 }) ?? true {
            let start = ContinuousClock.now
            let holder = "buyer \(UInt64.random(in: 0...UInt64.max))"
            do throws(ReservationError) {
                _ = try await service.reserve(
                    [Line(items.randomElement() ?? .counted("none"))], for: holder, key: "reserve")
                own.latencies.append((ContinuousClock.now - start) / .milliseconds(1))
            } catch {
                own.refused[error.code.name, default: 0] += 1
                if error.code.name == "out-of-stock" { return own }
            }
        }
        return own
    }
}
