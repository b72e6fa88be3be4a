import Foundation
import Reservations
@testable import ReservationsPostgreSQL
import Testing

/// Time that passes while a call waits for a row that somebody else has locked.
@Suite("The clock goes on for those who wait", .serialized, .timeLimit(.minutes(2)))
struct ClockTests {
    private static let shirt = Bucket.counted("shirt")
    private static let ttl = Duration.seconds(6)

    private func claim(ttl: Duration = Self.ttl, limit: Int? = nil) -> Claim {
        Claim(
            id: .make(), holder: "ann", cart: Cart(trusted: [Line(Self.shirt)]), ttl: ttl, totalHold: .seconds(600),
            maximumLiveHolds: limit, request: nil)
    }

    private func hold(_ store: PostgreSQLReservationStore) async throws -> Reservation {
        _ = try await store.restock(StockChange(bucket: Self.shirt, delta: 5, actor: "test"))
        guard case .held(let reservation) = try await store.claim(claim(), by: .atomic) else {
            throw StoreError(.failed, "Nothing is held.")
        }
        return reservation
    }

    /// What a call comes to that begins while the hold lives, and waits for rows that are locked until its time is up.
    private func late<Answer: Sendable>(
        _ id: ReservationID, _ store: PostgreSQLReservationStore, rows: String,
        _ call: @escaping @Sendable () async throws -> Answer
    ) async throws -> Answer {
        let task = try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
            _ = try await transaction.run("SELECT FROM \(rows) FOR NO KEY UPDATE")
            let locker = try await transaction.run("SELECT pg_backend_pid()")[0, 0]
            let task = Task { try await call() }
            try await until("SELECT $1::int = ANY (pg_blocking_pids(pid)) FROM pg_stat_activity", [locker], store)
            let isAlive = try await store.client.query(
                "SELECT xact_start < expires_at FROM reservation, pg_stat_activity WHERE id = $1 "
                    + "AND $2::int = ANY (pg_blocking_pids(pid))", ["\(id)", locker])
            #expect(isAlive[0, 0] == "t", "The machine stood still: the call began when the hold was over.")
            try await until("SELECT expires_at < clock_timestamp() FROM reservation WHERE id = $1", ["\(id)"], store)
            return task
        }
        return try await task.value
    }

    /// Asks until one of the rows is true.
    private func until(
        _ sql: String, _ parameters: [String?], _ store: PostgreSQLReservationStore
    ) async throws(DatabaseError) {
        let start = ContinuousClock.now
        while ContinuousClock.now - start < .seconds(30) {
            if try await store.client.query(sql, parameters).values.contains("t") { return }
            await Task.yield()
        }
        Issue.record("It never came to that: \(sql)")
    }

    @Test(
        "a hold that runs out while its end waits is over: nothing is sold, and it can be expired",
        arguments: [Resolution.Kind.confirm, .cancel], ["reservation", "bucket"])
    func resolution(kind: Resolution.Kind, rows: String) async throws {
        try await withStore({ $0.lockTimeout = .seconds(60) }) { store in
            let reservation = try await hold(store)
            let outcome = try await late(reservation.id, store, rows: rows) {
                try await store.resolve(Resolution(id: reservation.id, holder: "ann", kind: kind, actor: "ann"))
            }
            guard case .conflict(let found) = outcome else {
                Issue.record("It came to \(outcome).")
                return
            }
            #expect(found.state == .expired)
            #expect(found.resolvedAt == reservation.expiresAt)
            let states = try await store.states(of: [Self.shirt])
            #expect(states.map(\.sold) == [0])
            #expect(try await store.expire(nil, limit: 10).map(\.id) == [reservation.id])
        }
    }

    @Test("a hold that runs out while its extension waits is over")
    func extend() async throws {
        try await withStore({ $0.lockTimeout = .seconds(60) }) { store in
            let reservation = try await hold(store)
            let outcome = try await late(reservation.id, store, rows: "reservation") {
                try await store.extend(HoldExtension(id: reservation.id, holder: "ann", ttl: .seconds(60)))
            }
            guard case .conflict(let found) = outcome else {
                Issue.record("It came to \(outcome).")
                return
            }
            #expect(found.state == .expired)
        }
    }

    @Test("a hold that is being extended counts against its holder's limit, although it seems to be over")
    func extensionAndLimit() async throws {
        try await withStore({ $0.lockTimeout = .seconds(60) }) { store in
            let reservation = try await hold(store)
            let asked = claim(limit: 1)
            let task = try await store.client.withTransaction { (transaction) async throws(DatabaseError) in
                let outcome = try await transaction.run(
                    "SELECT outcome FROM extend($1, NULL, 60000000, NULL, NULL, NULL, NULL)", ["\(reservation.id)"])
                #expect(outcome[0, 0] == "done", "The machine was too slow: the hold was over.")
                let locker = try await transaction.run("SELECT pg_backend_pid()")[0, 0]
                try await until(
                    "SELECT expires_at < clock_timestamp() FROM reservation WHERE id = $1", ["\(reservation.id)"], store
                )
                let task = Task { try await store.claim(asked, by: .atomic) }
                try await until("SELECT $1::int = ANY (pg_blocking_pids(pid)) FROM pg_stat_activity", [locker], store)
                return task
            }
            #expect(try await task.value == .holdLimit(current: 1))
        }
    }

    @Test("a late confirmation that may sell again does so, at the time when it could")
    func replacement() async throws {
        try await withStore({ $0.lockTimeout = .seconds(60) }) { store in
            let reservation = try await hold(store)
            let id = ReservationID.make()
            let outcome = try await late(reservation.id, store, rows: "bucket") {
                try await store.resolve(
                    Resolution(id: reservation.id, holder: "ann", kind: .confirm, replacement: id, actor: "ann"))
            }
            guard case .done(let sold) = outcome else {
                Issue.record("It came to \(outcome).")
                return
            }
            #expect(sold.id == id)
            #expect(sold.createdAt > reservation.expiresAt)
            #expect(try await store.reservation(reservation.id, holder: "ann")?.state == .expired)
            #expect(try await store.audit(grace: .zero).isClean)
        }
    }

    @Test(
        "a hold that had to wait for its row is as long as it was asked for, from when it was there",
        arguments: [ClaimRule.atomic, .pessimistic(lockTimeout: .seconds(60)), .fenced(token: 3)])
    func claimThatWaits(rule: ClaimRule) async throws {
        try await withStore({ $0.lockTimeout = .seconds(60) }) { store in
            let first = try await hold(store)
            let asked = claim(ttl: .milliseconds(200), limit: 5)
            // As long as the first hold lives, which is twice as long as this one.
            let outcome = try await late(first.id, store, rows: "bucket") { try await store.claim(asked, by: rule) }
            guard case .held(let reservation) = outcome else {
                Issue.record("It came to \(outcome).")
                return
            }
            #expect(reservation.createdAt > first.expiresAt)
            let length = reservation.expiresAt.timeIntervalSince(reservation.createdAt)
            #expect(abs(length - 0.2) < 0.000_01)
            let row = try await store.client.query(
                "SELECT micros(created_at), micros(expires_at), micros(hard_deadline) FROM reservation WHERE id = $1",
                ["\(asked.id)"])
            #expect(
                try row[0].map { try Answers.date($0) } == [
                    reservation.createdAt, reservation.expiresAt, reservation.hardDeadline,
                ])
        }
    }

    @Test("durations and limits that make no sense are cut to what the database can count")
    func extremes() async throws {
        let century: Int64 = 36_525 * 86_400 * 1_000_000
        #expect(Answers.micros(.seconds(Int64.max)) == "\(century)")
        #expect(Answers.micros(.seconds(Int64.min)) == "\(-century)")
        #expect(Answers.micros(.microseconds(-3)) == "-3")
        try await withStore { store in
            _ = try await store.restock(StockChange(bucket: Self.shirt, delta: 5, actor: "test"))
            let outcome = try await store.claim(
                claim(ttl: .seconds(Int64.max)), by: .pessimistic(lockTimeout: .seconds(Int64.max)))
            guard case .held(let long) = outcome else {
                Issue.record("It came to \(outcome).")
                return
            }
            #expect(long.expiresAt == long.hardDeadline)
            _ = try await store.claim(claim(), by: .pessimistic(lockTimeout: .seconds(Int64.min)))
            for ttl in [Duration.seconds(Int64.max), .seconds(Int64.min)] {
                _ = try await store.extend(HoldExtension(id: long.id, holder: "ann", ttl: ttl))
                _ = try await store.audit(grace: ttl)
                _ = try await store.forgetRequests(olderThan: ttl, limit: .max)
            }
            for limit in [Int.min, -1, 0, .max] {
                let all = limit == .max ? 1 : 0
                #expect(try await store.states(ofItem: "shirt", after: nil, limit: limit).count == all)
                #expect(try await store.neighbours(of: .counted("shirt"), limit: limit).isEmpty)
                #expect(try await store.ledger(ofItem: "shirt", after: .min, limit: limit).isEmpty == (all == 0))
                #expect(try await store.ledger(ofItem: nil, after: .max, limit: limit).isEmpty)
                #expect(try await store.forgetRequests(olderThan: .zero, limit: limit) == 0)
                #expect(try await store.expire([Self.shirt], limit: limit).isEmpty)
            }
        }
    }
}
