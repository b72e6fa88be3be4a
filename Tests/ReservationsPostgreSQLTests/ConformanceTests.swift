import ReservationStoreConformance
import Reservations
import Testing

@Suite("The PostgreSQL store", .serialized, .timeLimit(.minutes(10)))
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
            try await withRig(strategy) { try await check.run($0) }
        }
    }

    @Test("The failure catalogue of distributed locks", arguments: StoreConformance.lockChecks)
    func lockCatalogue(check: ConformanceCheck) async {
        await #expect(throws: Never.self) {
            try await withRig(.locked) { try await check.run($0) }
        }
    }

    @Test("Random histories", arguments: UInt64(1)...3, TestedStrategy.allCases)
    func histories(seed: UInt64, strategy: TestedStrategy) async {
        await #expect(throws: Never.self) {
            try await withRig(strategy) { rig in
                var rig = rig
                rig.seed = seed
                for check in StoreConformance.histories { try await check.run(rig) }
            }
        }
    }
}
