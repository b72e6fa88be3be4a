import Metrics
import MetricsTestKit
import ReservationStoreConformance
import Reservations
import Testing

/// A store that asks its database several times by itself.
private struct InsistentStore: StoreWrapper {
    let memory = InMemoryReservationStore()
    /// What becomes of the call with this number.
    let failure: @Sendable (Int) -> StoreError?
    let asked = Tally()
    var inner: any ReservationStore { memory }

    func attempt(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimAnswer {
        if let error = failure(asked.add()) { throw error }
        return ClaimAnswer(try await memory.claim(claim, by: rule), attempts: 4)
    }

    func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        if let error = failure(asked.add()) { throw error }
        return try await memory.extend(change)
    }
}

@Suite("How often it was tried", .timeLimit(.minutes(1)))
struct AttemptTests {
    private static let strategies: [Strategy] = [.atomic, .pessimistic(), .optimistic()]

    @Test("What a store repeats by itself counts, in answers and in errors")
    func insistence() async throws {
        for strategy in Self.strategies {
            let store = InsistentStore { $0 == 1 ? StoreError(.busy, "A deadlock.", attempts: 3) : nil }
            try await store.stockShirts()
            let result = await strategy.implementation.claim(shirtClaim(), in: store)
            #expect(result.attempts == 7, "\(strategy.name)")
            #expect(store.asked.value == 2, "\(strategy.name)")
        }
    }

    @Test("A store that was not asked was not tried")
    func notAsked() async throws {
        for strategy in Self.strategies {
            let store = InsistentStore { _ in StoreError(.closed, "Closed.", attempts: 0) }
            try await store.stockShirts()
            let service = try ReservationService(store: store, configuration: .with(strategy))
            let error = await #expect(throws: ReservationError.self) {
                try await service.reserve([Line(.counted("shirt"))], for: "ann")
            }
            #expect(error?.attempts == 0)
            let invalid = await #expect(throws: ReservationError.self) { try await service.reserve([], for: "ann") }
            #expect(invalid?.attempts == 0)
        }
    }

    @Test("Metrics and errors have the sum")
    func metrics() async throws {
        let store = InsistentStore { $0 == 1 ? nil : StoreError(.busy, "Locked.", attempts: 10) }
        try await store.stockShirts()
        let metrics = TestMetrics()
        let attempts = try await withMetricsFactory(metrics) {
            let service = try ReservationService(store: store)
            _ = try await service.reserve([Line(.counted("shirt"))], for: "ann")
            let error = await #expect(throws: ReservationError.self) {
                try await service.reserve([Line(.counted("shirt"))], for: "ann")
            }
            return error?.attempts
        }
        #expect(attempts == 30, "three rounds of ten")
        let counter = try metrics.expectCounter("reservations_attempts_total", [("strategy", "atomic")])
        #expect(counter.totalValue == 34)
    }

    @Test("A capacity beyond the greatest was asked for, when the store had to say so")
    func aboveMaximum() async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        let bucket = Bucket.counted("shirt")
        try await service.restock(bucket, by: bucket.maximumCapacity, actor: "stock")
        for (delta, attempts) in [(1, 1), (bucket.maximumCapacity + 1, 0)] {
            let error = await #expect(throws: ReservationError.self) {
                try await service.restock(bucket, by: delta, actor: "stock")
            }
            #expect(error?.pointers == ["/delta"])
            #expect(error?.attempts == attempts)
        }
    }

    @Test("What is no claim counts too")
    func extending() async throws {
        let store = InsistentStore { _ in StoreError(.busy, "Locked.", attempts: 2) }
        let service = try ReservationService(store: store)
        let error = await #expect(throws: ReservationError.self) { try await service.extend(.make(), for: "ann") }
        #expect(error?.attempts == 10, "five rounds of two")
    }
}
