import ReservationStoreConformance
import Reservations
import Testing

@Suite("The in-memory store", .timeLimit(.minutes(2)))
struct ConformanceTests {
    @Test("It keeps the contract", arguments: StoreConformance.storeChecks)
    func contract(check: ConformanceCheck) async {
        await #expect(throws: Never.self) {
            try await withRig { try await check.run($0) }
        }
    }

    @Test("The failure catalogue, for each strategy", arguments: StoreConformance.catalogue, TestedStrategy.allCases)
    func catalogue(check: ConformanceCheck, strategy: TestedStrategy) async {
        await #expect(throws: Never.self) {
            try await withRig(MemoryHarness(), strategy) { try await check.run($0) }
        }
    }

    @Test("The failure catalogue of distributed locks", arguments: StoreConformance.lockChecks)
    func lockCatalogue(check: ConformanceCheck) async {
        await #expect(throws: Never.self) {
            try await withRig(MemoryHarness(), .locked) { try await check.run($0) }
        }
    }

    @Test("Random histories", arguments: UInt64(1)...24, TestedStrategy.allCases)
    func histories(seed: UInt64, strategy: TestedStrategy) async {
        await #expect(throws: Never.self) {
            try await withRig(MemoryHarness(), strategy) { rig in
                var rig = rig
                rig.seed = seed
                for check in StoreConformance.histories { try await check.run(rig) }
            }
        }
    }
}
