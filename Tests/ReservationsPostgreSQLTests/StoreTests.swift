import Reservations
import ReservationsPostgreSQL
import TestSupport
import Testing

/// What is PostgreSQL's own; the rest is in the conformance suite.
@Suite("The store and its server", .serialized, .timeLimit(.minutes(3)))
struct StoreTests {
    @Test("a row that stays locked makes a claim busy, by each rule, and leaves nothing behind")
    func lockedRow() async throws {
        try await withStore({ $0.lockTimeout = .milliseconds(100) }) { store in
            try await stock(store, 5)
            let rules: [ClaimRule] = [
                .atomic, .pessimistic(lockTimeout: .milliseconds(50)), .fenced(token: 1),
                .optimistic(versions: [.counted("shirt"): 1]),
            ]
            try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
                _ = try await transaction.run("SELECT FROM bucket FOR NO KEY UPDATE")
                for rule in rules {
                    let error = await #expect(throws: StoreError.self) { try await store.claim(claim(), by: rule) }
                    #expect(error?.code == .busy)
                    #expect(error?.effect == StoreError.Effect.none)
                }
            }
            let rows = try await store.client.query("SELECT count(*) FROM reservation")
            #expect(rows[0, 0] == "0")
        }
    }

    @Test("a repeated key waits for the first, and no longer than it may")
    func keyInProgress() async throws {
        try await withStore({ $0.lockTimeout = .milliseconds(200) }) { store in
            try await stock(store, 5)
            try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
                _ = try await transaction.run(
                    """
                    INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id)
                    VALUES ('ann', 'click', 'reserve', 'f', 'done', gen_random_uuid())
                    """)
                let outcome = await Result { try await store.claim(claim(key: "click"), by: .atomic) }
                #expect((try? outcome.get()) == .key(.inProgress))
                _ = try await transaction.run("DELETE FROM request")
            }
            guard case .held = try await store.claim(claim(key: "click"), by: .atomic) else {
                Issue.record("The key of what never happened cannot be used.")
                return
            }
        }
    }

    @Test("a claim whose look was overtaken asks again under the row's lock")
    func overtaken() async throws {
        try await withStore { store in
            try await stock(store, 1)
            let task = try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
                _ = try await transaction.run("UPDATE bucket SET held = 1")
                let task = Task { try await store.claim(claim(), by: .atomic) }
                // It has looked, seen one left, and waits for the row.
                try await expectWaiters(1, store)
                return task
            }
            let outcome = try await task.value
            guard case .short(let shortages) = outcome else {
                Issue.record("It came to \(outcome).")
                return
            }
            #expect(shortages.map { $0.state?.available } == [0])
        }
    }

    @Test("a cancelled claim leaves nothing behind, and the store goes on")
    func cancelledClaim() async throws {
        try await withStore({ $0.maximumConnections = 4 }) { store in
            try await stock(store, 5)
            try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
                _ = try await transaction.run("SELECT FROM bucket FOR NO KEY UPDATE")
                let task = Task { try await store.claim(claim(), by: .atomic) }
                try await expectWaiters(1, store)
                task.cancel()
                let error = await #expect(throws: StoreError.self) { try await task.value }
                #expect(error?.code == .cancelled)
                #expect(error?.effect == StoreError.Effect.none)
            }
            let rows = try await store.client.query("SELECT count(*) FROM reservation")
            #expect(rows[0, 0] == "0")
        }
    }

    @Test("sixteen at once under one limit of three, in different sessions: three")
    func holdLimitIsExact() async throws {
        try await withStore({ $0.maximumConnections = 16 }) { store in
            try await stock(store, 100)
            let held = try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<16 {
                    group.addTask {
                        if case .held = try await store.claim(claim(limit: 3), by: .atomic) { true } else { false }
                    }
                }
                return try await group.reduce(0) { $0 + ($1 ? 1 : 0) }
            }
            #expect(held == 3)
        }
    }

    @Test("an audit that takes too long is not begun again by itself")
    func longAudit() async throws {
        try await withStore({ $0.auditTimeout = .milliseconds(50) }) { store in
            let service = try ReservationService(store: store)
            try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
                _ = try await transaction.run("LOCK TABLE ledger")
                let error = await #expect(throws: ReservationError.self) { try await service.audit() }
                #expect(error?.attempts == 1)
                let cause = await #expect(throws: StoreError.self) { try await store.audit(grace: .seconds(1)) }
                #expect(cause?.code == .unavailable)
            }
        }
    }

    @Test("a store that is closed says so")
    func closed() async throws {
        let url = try await PostgreSQLTestCluster.shared.value.url
        let store = try PostgreSQLReservationStore(url: url)
        await store.close()
        let error = await #expect(throws: StoreError.self) { try await store.states(of: [.counted("a")]) }
        #expect(error?.code == .closed)
    }

    @Test("a URL that makes no sense, and limits that make none")
    func misconfigured() {
        let wrongURL = #expect(throws: StoreError.self) { try PostgreSQLReservationStore(url: "mysql://a:s3cret@b/c") }
        #expect(wrongURL?.code == .misconfigured)
        #expect(wrongURL?.message.contains("s3cret") == false)
        var configuration = PostgreSQLReservationStore.Configuration()
        configuration.lockTimeout = .seconds(20)
        let wrongLimit = #expect(throws: StoreError.self) {
            try PostgreSQLReservationStore(url: "postgresql://h/d", configuration: configuration)
        }
        #expect(wrongLimit?.message.contains("lockTimeout") == true)
        for schema in ["", "$user", "pg_catalog", "pg_temp", "pg_shop", "information_schema", "a\0b"] {
            var configuration = PostgreSQLReservationStore.Configuration()
            configuration.schema = schema
            let error = #expect(throws: StoreError.self) {
                try PostgreSQLReservationStore(url: "postgresql://h/d", configuration: configuration)
            }
            #expect(error?.code == .misconfigured)
            #expect(error?.message.contains("schema") == true)
        }
    }
}
