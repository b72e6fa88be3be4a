import InMemoryLogging
import Logging
import Metrics
import MetricsTestKit
import ReservationStoreConformance
import Reservations
import Testing

@Suite("What operators see", .timeLimit(.minutes(1)))
struct ObserverTests {
    /// Bound to the task of each test: the system of the whole process belongs to nobody here.
    private let metrics = TestMetrics()
    private let shirt = Bucket.counted("shirt")

    private func count(_ label: String, _ dimensions: [(String, String)] = []) -> Int64 {
        (try? metrics.expectCounter(label, dimensions).totalValue) ?? 0
    }

    private func service(
        _ store: any ReservationStore, _ strategy: ReservationStrategy, _ handler: InMemoryLogHandler = .init()
    ) throws -> ReservationService {
        let logger = Logger(label: "test") { _ in
            var handler = handler
            handler.logLevel = .trace
            return handler
        }
        return try ReservationService(store: store, configuration: .with(Strategy(strategy)), logger: logger)
    }

    /// Answers the same each time.
    private struct Fixed: ReservationStrategy {
        let name: String
        let result: StrategyResult

        func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult { result }
    }

    @Test("Outcomes by operation, code and strategy; attempts; stale fences; fallbacks; times")
    func counting() async throws {
        let store = InMemoryReservationStore()
        try await store.stockShirts(1)
        var stale = StrategyResult(.success(.staleFence(shirt, seen: 9)), attempts: 3)
        stale.staleFences = 3
        stale.fellBack = true
        let fixed = Fixed(name: "observed", result: stale)
        try await withMetricsFactory(metrics) {
            let observed = try service(store, fixed)
            await #expect(throws: ReservationError.self) { try await observed.reserve([Line(shirt)], for: "ann") }
        }
        let busy = [("operation", "reserve"), ("outcome", "busy"), ("strategy", "observed")]
        #expect(count("reservations_outcomes_total", busy) == 1)
        #expect(count("reservations_attempts_total", [("strategy", "observed")]) == 3)
        #expect(count("reservations_stale_fences_total") == 3)
        #expect(count("reservations_lock_fallbacks_total", [("strategy", "observed")]) == 1)
        let timer = try metrics.expectTimer("reservations_seconds", [("operation", "reserve")])
        #expect(!timer.values.isEmpty)
    }

    @Test("Messages are constant, and neither holders nor keys are in them")
    func secrets() async throws {
        let store = InMemoryReservationStore()
        let handler = InMemoryLogHandler()
        let service = try service(store, AsksInParts(), handler)
        try await service.restock(shirt, by: 2, actor: "secret-actor", key: "secret-key")
        let plain = try ReservationService(
            store: store,
            logger: Logger(label: "test") { _ in
                var handler = handler
                handler.logLevel = .trace
                return handler
            })
        let held = try await plain.reserve([Line(shirt)], for: "secret-holder", key: "secret-key")
        _ = try await plain.reserve([Line(shirt)], for: "secret-holder", key: "secret-key")
        _ = try await plain.confirm(held.id, for: "secret-holder", key: "secret-payment")
        await #expect(throws: ReservationError.self) { try await plain.cancel(held.id, for: "secret-holder") }
        await #expect(throws: ReservationError.self) {
            try await plain.reserve([Line(shirt, quantity: 9)], for: "secret-holder", key: "secret-other")
        }
        await #expect(throws: ReservationError.self) {
            try await plain.reserve([Line(shirt, quantity: 2)], for: "secret-holder", key: "secret-key")
        }
        let entries = handler.entries
        let messages = Set(entries.map { "\($0.message)" })
        #expect(
            messages == [
                "Reserved", "Answered a repeated request", "Reservation changed", "Reservation request refused",
            ])
        for entry in entries { #expect(!"\(entry)".contains("secret"), "\(entry)") }
    }
}
