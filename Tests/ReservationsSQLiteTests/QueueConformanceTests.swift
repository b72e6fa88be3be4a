import ReservationStoreConformance
import Reservations
import Testing

@Suite("The SQLite store's queue", .timeLimit(.minutes(2)))
struct QueueConformanceTests {
    @Test("It keeps the contract", arguments: StoreConformance.queueChecks)
    func contract(check: ConformanceCheck) async throws {
        try await withRig { rig in
            await #expect(throws: Never.self) { try await check.run(rig) }
        }
    }
}
