import Reservations
import ReservationsPostgreSQL
import TestSupport
import Testing

/// What is PostgreSQL's own; the rest is in the conformance suite.
@Suite("The store and its server", .serialized, .timeLimit(.minutes(3)))
struct StoreTests {
    private func claim(_ quantity: Int = 1, key: String? = nil, limit: Int? = nil, by holder: String = "ann") -> Claim {
        Claim(
            id: .make(), holder: holder, cart: Cart(trusted: [Line(.counted("shirt"), quantity: quantity)]),
            ttl: .seconds(60), totalHold: .seconds(600), maximumLiveHolds: limit,
            request: key.map { RequestKey(caller: holder, key: $0, operation: "reserve", fingerprint: "f") })
    }

    private func stock(_ store: PostgreSQLReservationStore, _ quantity: Int) async throws {
        _ = try await store.restock(StockChange(bucket: .counted("shirt"), delta: quantity, actor: "test"))
    }

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
                try await expectWaiter(store)
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

    private func expectWaiter(_ store: PostgreSQLReservationStore) async throws(DatabaseError) {
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .seconds(30) {
            let rows = try await store.client.query(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%claim(%'")
            if rows.affected == 1 { return }
            await Task.yield()
        }
        Issue.record("Nobody waits.")
    }

    @Test("a cancelled claim leaves nothing behind, and the store goes on")
    func cancelledClaim() async throws {
        try await withStore({ $0.maximumConnections = 4 }) { store in
            try await stock(store, 5)
            try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
                _ = try await transaction.run("SELECT FROM bucket FOR NO KEY UPDATE")
                let task = Task { try await store.claim(claim(), by: .atomic) }
                try await expectWaiter(store)
                task.cancel()
                let error = await #expect(throws: StoreError.self) { try await task.value }
                #expect(error?.code == .cancelled)
                #expect(error?.effect == StoreError.Effect.none)
            }
            let rows = try await store.client.query("SELECT count(*) FROM reservation")
            #expect(rows[0, 0] == "0")
        }
    }

    @Test("a claim whose answer got lost is asked again, and found done or not done")
    func lostAnswer() async throws {
        try await PostgreSQLTestCluster.with { cluster in
            try await withStore(url: cluster.url) { store in
                try await stock(store, 1_000)
                let claims = (0..<40).map { claim(by: "buyer \($0)") }
                let first = await withTaskGroup(of: Result<ClaimOutcome, any Error>.self) { group in
                    for claim in claims { group.addTask { await Result { try await store.claim(claim, by: .atomic) } } }
                    _ = await group.next()
                    try? cluster.restart()
                    return await group.reduce(into: []) { $0.append($1) }
                }
                for case .failure(let error as StoreError) in first {
                    #expect(error.code == .unavailable || error.code == .busy)
                }
                for claim in claims {
                    switch try await store.claim(claim, by: .atomic) {
                    case .held, .replayed: break
                    case let other: Issue.record("It came to \(other).")
                    }
                }
                let states = try await store.states(of: [.counted("shirt")])
                #expect(states.map(\.held) == [40])
                let report = try await store.audit(grace: .seconds(60))
                #expect(report.isClean)
            }
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
    }
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}
