import ReservationStoreConformance
import Reservations
import ReservationsPostgreSQL
import Testing

@Suite("How often the store asks the database", .timeLimit(.minutes(1)))
struct AttemptTests {
    private static func claim() -> Claim {
        Claim(
            id: .make(), holder: "ann", cart: Cart(trusted: [Line(.counted("a"))]), ttl: .seconds(60),
            totalHold: .seconds(60), maximumLiveHolds: nil, request: nil)
    }

    @Test("Once for a plain claim")
    func once() async throws {
        try await withStore { store in
            _ = try await store.restock(StockChange(bucket: .counted("a"), delta: 1, actor: "stock"))
            #expect(try await store.attempt(Self.claim(), by: .atomic).attempts == 1)
            #expect(try await store.attempt(Self.claim(), by: .atomic).attempts == 1, "one that is short")
        }
    }

    @Test("Each look counts when others are faster every time")
    func looks() async throws {
        try await withStore { store in
            // As though the update found each time that what the look had seen is gone.
            _ = try await store.client.query(
                """
                CREATE FUNCTION always_faster() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    RAISE EXCEPTION 'others were faster' USING ERRCODE = 'RS001';
                END
                $$
                """, [])
            _ = try await store.client.query(
                "CREATE TRIGGER always_faster BEFORE INSERT ON reservation EXECUTE FUNCTION always_faster()", [])
            _ = try await store.restock(StockChange(bucket: .counted("a"), delta: 1, actor: "stock"))
            let error = await #expect(throws: StoreError.self) { try await store.attempt(Self.claim(), by: .atomic) }
            #expect(error?.code == .busy)
            #expect(error?.attempts == 5)
        }
    }

    @Test("Never when there is no connection")
    func never() async throws {
        let store = try PostgreSQLReservationStore(url: "postgresql://nobody@127.0.0.1:1/nothing")
        let error = await #expect(throws: StoreError.self) { try await store.attempt(Self.claim(), by: .atomic) }
        #expect(error?.code == .unavailable)
        #expect(error?.attempts == 0)
        await store.close()
        let closed = await #expect(throws: StoreError.self) { try await store.attempt(Self.claim(), by: .atomic) }
        #expect(closed?.attempts == 0)
    }
}
