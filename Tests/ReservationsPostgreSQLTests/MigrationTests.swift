import Reservations
import ReservationsPostgreSQL
import TestSupport
import Testing

@Suite("Migrations", .serialized, .timeLimit(.minutes(2)))
struct MigrationTests {
    @Test("ten may do it at once, and once more later")
    func tenAtOnce() async throws {
        let url = try await PostgreSQLTestCluster.shared.value.url
        var configuration = PostgreSQLReservationStore.Configuration()
        configuration.schema = freshSchema()
        let stores = try (0..<10).map { _ in try PostgreSQLReservationStore(url: url, configuration: configuration) }
        await #expect(throws: Never.self) {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for store in stores { group.addTask { try await store.migrate() } }
                try await group.waitForAll()
            }
            try await stores[0].migrate()
            let change = StockChange(bucket: .counted("shirt"), delta: 3, actor: "test")
            _ = try await stores[1].restock(change)
            let states = try await stores[2].states(of: [.counted("shirt")])
            #expect(states.map(\.available) == [3])
        }
        for store in stores { await store.close() }
    }

    @Test("a name that needs quotes is a name")
    func quotes() async throws {
        let name = "it's \"a\"; schema \(freshSchema())"
        try await withStore({ $0.schema = name }) { store in
            let rows = try await store.client.query("SELECT current_schema()")
            #expect(rows[0, 0] == name)
        }
    }

    @Test("a store that was not migrated says what to do")
    func missing() async throws {
        let url = try await PostgreSQLTestCluster.shared.value.url
        var configuration = PostgreSQLReservationStore.Configuration()
        configuration.schema = freshSchema()
        let store = try PostgreSQLReservationStore(url: url, configuration: configuration)
        let error = await #expect(throws: StoreError.self) { try await store.states(of: [.counted("a")]) }
        #expect(error?.code == .misconfigured)
        #expect(error?.message.contains("migrate()") == true)
        await store.close()
    }

    @Test("a schema of a newer program is left alone")
    func newer() async throws {
        try await withStore { store in
            _ = try await store.client.query("INSERT INTO schema_version (version) VALUES (1000)")
            let error = await #expect(throws: StoreError.self) { try await store.migrate() }
            #expect(error?.code == .misconfigured)
        }
    }

    @Test("a schema that was a draft is refused with what to do, and not half used")
    func draft() async throws {
        try await withStore { store in
            _ = try await store.client.query("UPDATE schema_version SET version = 1")
            let error = await #expect(throws: StoreError.self) { try await store.migrate() }
            #expect(error?.code == .misconfigured)
            #expect(error?.message.contains("DROP SCHEMA") == true)
        }
    }

    @Test("who may not create the schema needs not, when it is there")
    func unprivileged() async throws {
        try await withStore { store in
            let schema = try await store.client.query("SELECT current_schema()")[0, 0] ?? ""
            let role = "clerk_\(schema)"
            _ = try await store.client.query("CREATE ROLE \(role) LOGIN")
            _ = try await store.client.query("GRANT USAGE ON SCHEMA \(schema) TO \(role)")
            _ = try await store.client.query("GRANT SELECT ON schema_version TO \(role)")
            _ = try await store.client.query(
                "GRANT SELECT, INSERT, UPDATE ON bucket, reservation, reservation_line, request TO \(role)")
            _ = try await store.client.query("GRANT DELETE ON request, reservation TO \(role)")
            _ = try await store.client.query("GRANT SELECT, INSERT ON ledger TO \(role)")
            let cluster = try await PostgreSQLTestCluster.shared.value
            var configuration = PostgreSQLReservationStore.Configuration()
            configuration.schema = schema
            let clerk = try PostgreSQLReservationStore(url: cluster.url(user: role), configuration: configuration)
            await #expect(throws: Never.self) {
                try await clerk.migrate()
                _ = try await clerk.restock(StockChange(bucket: .counted("a"), delta: 1, actor: "clerk"))
                let claim = Claim(
                    id: .make(), holder: "ann", cart: Cart(trusted: [Line(.counted("a"))]), ttl: .seconds(60),
                    totalHold: .seconds(60), maximumLiveHolds: 1, request: nil)
                guard case .held = try await clerk.claim(claim, by: .atomic) else {
                    Issue.record("The clerk holds nothing.")
                    return
                }
            }
            await clerk.close()
        }
    }
}
