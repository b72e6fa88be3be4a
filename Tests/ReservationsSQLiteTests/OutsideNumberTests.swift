import Foundation
import GRDB
import ReservationStoreConformance
import Reservations
import ReservationsSQLite
import TestSupport
import Testing

/// What a hand, or a broken program, may put into the file: the schema has no bounds for times. None of it may end the
/// process that reads it.
@Suite("Numbers by hand", .timeLimit(.minutes(1)))
struct OutsideNumberTests {
    private static let bucket = Bucket.counted("a")

    @Test("Times beyond all measure are read", arguments: [Int64.min, .min + 1, -62_135_596_800_001, .max - 1, .max])
    func times(time: Int64) async throws {
        try await withStore { harness in
            let store = harness.store
            _ = try await store.restock(StockChange(bucket: Self.bucket, delta: 5, actor: "stock"))
            let claim = Claim(
                id: .make(), holder: "ann", cart: Cart(trusted: [Line(Self.bucket)]), ttl: .seconds(60),
                totalHold: .seconds(60), maximumLiveHolds: nil, request: nil)
            _ = try await store.claim(claim, by: .atomic)
            try await harness.sqlite.withDatabase { db in
                try db.execute(
                    sql: "UPDATE reservation SET expires_at = :t, hard_deadline = :t, created_at = :t",
                    arguments: ["t": time])
            }
            let found = try #require(try await store.reservation(claim.id, holder: "ann"))
            #expect(found.state == (time < 0 ? .expired : .held))
            let report = try await store.audit(grace: .zero)
            #expect(report.findings.map(\.rule) == (time < 0 ? [.overdue] : []))
            let most = Claim(
                id: .make(), holder: "bob", cart: Cart(trusted: [Line(Self.bucket, quantity: 5)]), ttl: .seconds(60),
                totalHold: .seconds(60), maximumLiveHolds: nil, request: nil)
            guard case .short(let shortages) = try await store.claim(most, by: .atomic) else {
                Issue.record("It was not short.")
                return
            }
            #expect(shortages.map(\.heldByOthers) == [time < 0 ? 0 : 1])
            _ = try await store.extend(HoldExtension(id: claim.id, holder: "ann", ttl: .seconds(60)))
            let service = try ReservationService(store: store)
            await #expect(throws: ReservationError.self) {
                try await service.reserve([Line(Self.bucket, quantity: 6)], for: "bob")
            }
            if time < 0 {
                #expect(
                    try await store.states(of: [Self.bucket]).map(\.held) == [0], "the claim that was short has reaped")
            } else {
                let resolution = Resolution(id: claim.id, holder: "ann", kind: .confirm, actor: "ann")
                guard case .done = try await store.resolve(resolution) else {
                    Issue.record("It was not confirmed.")
                    return
                }
            }
        }
    }

    @Test(
        "A clock without measure is brought back to one", arguments: [-Double.infinity, -1e300, 1e300, .infinity, .nan])
    func clock(seconds: Double) async throws {
        try await withStore({ $0.now = { Date(timeIntervalSince1970: seconds) } }) { harness in
            _ = try await harness.store.restock(StockChange(bucket: Self.bucket, delta: 5, actor: "stock"))
            #expect(try await harness.store.audit(grace: .seconds(60)).isClean)
            #expect(try await harness.store.forgetRequests(olderThan: .seconds(60), limit: 9) == 0)
        }
    }

    @Test("A version of the schema that never was is told")
    func version() async throws {
        try await withStore { harness in
            try await harness.sqlite.withDatabase { try $0.execute(sql: "UPDATE reservation_schema SET version = -1") }
            let error = await #expect(throws: StoreError.self) { try await harness.store.migrate() }
            #expect(error?.code == .misconfigured)
        }
    }
}
