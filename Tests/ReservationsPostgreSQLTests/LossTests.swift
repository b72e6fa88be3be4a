import Foundation
import RedisLocks
import Reservations
import ReservationsPostgreSQL
import TestSupport
import Testing

/// State that is gone: stock that is not there, and servers that come back with less than they had.
@Suite("What is lost sells nothing", .serialized, .timeLimit(.minutes(3)))
struct LossTests {
    private static let (shirt, cap) = (Bucket.counted("shirt"), Bucket.counted("cap"))
    private static let rules: [ClaimRule] = [
        .atomic, .pessimistic(lockTimeout: .seconds(1)), .fenced(token: 1), .optimistic(versions: [shirt: 1, cap: 0]),
    ]

    private func claim(_ lines: [Line], id: ReservationID = .make(), by holder: String = "ann") -> Claim {
        Claim(
            id: id, holder: holder, cart: Cart(trusted: lines), ttl: .seconds(60), totalHold: .seconds(600),
            maximumLiveHolds: nil, request: nil)
    }

    private func stock(_ store: PostgreSQLReservationStore, _ bucket: Bucket, _ quantity: Int) async throws {
        _ = try await store.restock(StockChange(bucket: bucket, delta: quantity, actor: "test"))
    }

    private func hold(_ store: PostgreSQLReservationStore, _ bucket: Bucket, by holder: String = "ann") async throws
        -> Reservation
    {
        let outcome = try await store.claim(claim([Line(bucket)], by: holder), by: .atomic)
        guard case .held(let reservation) = outcome else { throw StoreError(.failed, "It came to \(outcome).") }
        return reservation
    }

    private func resolve(
        _ store: PostgreSQLReservationStore, _ kind: Resolution.Kind, _ id: ReservationID,
        replacement: ReservationID? = nil
    ) async throws -> ResolutionOutcome {
        try await store.resolve(
            Resolution(id: id, holder: nil, kind: kind, replacement: replacement, actor: "test"))
    }

    @Test("stock that was never there is not there: every rule refuses, and nothing is made up")
    func neverThere() async throws {
        try await withStore { store in
            try await stock(store, Self.shirt, 5)
            for rule in Self.rules {
                for lines in [[Line(Self.cap)], [Line(Self.shirt), Line(Self.cap)]] {
                    let outcome = try await store.claim(claim(lines), by: rule)
                    if case .short(let shortages) = outcome {
                        #expect(shortages.map(\.bucket) == [Self.cap])
                        #expect(shortages.map(\.state) == [nil])
                    } else {
                        // Of a bucket that is not there no version is right.
                        #expect(outcome == .versionConflict)
                        #expect(rule == .optimistic(versions: [Self.shirt: 1, Self.cap: 0]))
                    }
                }
            }
            let states = try await store.states(of: [Self.shirt, Self.cap])
            #expect(states.map(\.bucket) == [Self.shirt])
            #expect(states.map(\.held) == [0])
            let rows = try await store.client.query("SELECT count(*) FROM reservation")
            #expect(rows[0, 0] == "0")
            let report = try await store.audit(grace: .zero)
            #expect(report.isClean)
        }
    }

    @Test("stock that vanishes beneath its holds: they cannot be sold, and what comes back is only what is brought")
    func vanished() async throws {
        try await withStore { store in
            try await stock(store, Self.cap, 5)
            let (held, overdue) = (try await hold(store, Self.cap), try await hold(store, Self.cap))
            try await PostgreSQLHarness(postgres: store).age(overdue.id, by: .seconds(700))
            // Past the triggers, as after a restoration of some tables and not of others.
            _ = try await store.client.run(
                [
                    Statement("SET LOCAL session_replication_role = replica"),
                    Statement("DELETE FROM bucket WHERE item = 'cap'"),
                ], mayCommit: true)
            for rule in Self.rules {
                guard case .held = try await store.claim(claim([Line(Self.cap)]), by: rule) else { continue }
                Issue.record("\(rule) holds what is not there.")
            }
            for (id, replacement) in [(held.id, nil), (overdue.id, ReservationID.make())] {
                let error = await #expect(throws: StoreError.self) {
                    try await resolve(store, .confirm, id, replacement: replacement)
                }
                #expect(error?.code == .refusedByConstraint)
            }
            let rules = Set(try await store.audit(grace: .zero).findings.map(\.rule))
            #expect(rules.isSuperset(of: [.lines, .ledger]))
            guard case .done = try await resolve(store, .cancel, held.id) else {
                Issue.record("The hold cannot be ended.")
                return
            }
            try await stock(store, Self.cap, 2)
            let states = try await store.states(of: [Self.cap])
            #expect(states.map { [$0.capacity, $0.held, $0.sold] } == [[2, 0, 0]])
        }
    }

    @Test("a Redis that forgets its locks and tokens after a confirmation: the rows still count")
    func forgetfulRedis() async throws {
        try await RedisTestServer.with { redis in
            try await withStore { store in
                let locks = try RedisLocks(.node(redis.url))
                var configuration = ReservationService.Configuration()
                configuration.strategy = .locked(locks)
                let service = try ReservationService(store: store, configuration: configuration)
                try await stock(store, Self.shirt, 3)
                let sale = try await service.reserve([Line(Self.shirt)], for: "ann", ttl: .seconds(60), key: "a")
                _ = try await service.confirm(sale.id, for: "ann", key: "b")
                let fence = try await store.states(of: [Self.shirt]).first?.fence ?? 0
                #expect(fence > 0)
                try await RedisTestServer.blocking { try redis.restartEmpty() }
                let held = await withTaskGroup(of: Bool.self) { group in
                    for buyer in 0..<8 {
                        group.addTask {
                            let hold = try? await service.reserve(
                                [Line(Self.shirt)], for: "buyer \(buyer)", ttl: .seconds(60), key: "a")
                            return hold != nil
                        }
                    }
                    return await group.reduce(0) { $0 + ($1 ? 1 : 0) }
                }
                // Two holders of one lock, with one token or with a smaller one than was there.
                for _ in 0..<3 {
                    let same = try await store.claim(claim([Line(Self.shirt)]), by: .fenced(token: .max))
                    if case .short = same { continue }
                    #expect(held < 2)
                }
                let stale = try await store.claim(
                    claim([Line(Self.cap), Line(Self.shirt)]), by: .fenced(token: fence - 1))
                guard case .staleFence = stale else {
                    Issue.record("It came to \(stale).")
                    return
                }
                let states = try await store.states(of: [Self.shirt])
                #expect(states.map(\.sold) == [1])
                #expect(states.allSatisfy { $0.held + $0.sold <= 3 })
                #expect(try await store.reservation(sale.id, holder: "ann")?.state == .confirmed)
                #expect(try await store.audit(grace: .zero).isClean)
                await locks.shutdown()
            }
        }
    }

    @Test("a PostgreSQL that is killed after a confirmation has it")
    func killed() async throws {
        try await PostgreSQLTestCluster.with { cluster in
            try await withStore(url: cluster.url) { store in
                try await stock(store, Self.shirt, 1)
                let sale = try await hold(store, Self.shirt)
                guard case .done = try await resolve(store, .confirm, sale.id) else {
                    Issue.record("It cannot be confirmed.")
                    return
                }
                try cluster.restart()
                try await expectAnswer(store)
                guard case .conflict = try await resolve(store, .cancel, sale.id),
                    case .repeated = try await resolve(store, .confirm, sale.id),
                    case .short = try await store.claim(claim([Line(Self.shirt)]), by: .atomic)
                else {
                    Issue.record("It is not sold any more.")
                    return
                }
            }
        }
    }

    @Test(
        "a PostgreSQL that comes back as an older copy: what it forgot can be asked for again, and nothing is oversold")
    func olderCopy() async throws {
        try await PostgreSQLTestCluster.with { cluster in
            let (data, copy) = ("\(cluster.folder)/data", "\(cluster.folder)/copy")
            try await withStore(url: cluster.url) { store in
                try await stock(store, Self.shirt, 2)
                let first = try await hold(store, Self.shirt)
                try cluster.terminate()
                try await Self.run("/bin/cp", ["-a", data, copy])
                try cluster.restart()
                try await expectAnswer(store)
                _ = try await resolve(store, .confirm, first.id)
                let second = try await hold(store, Self.shirt, by: "bob")
                _ = try await resolve(store, .confirm, second.id)
                try cluster.kill()
                try FileManager.default.removeItem(atPath: data)
                try FileManager.default.moveItem(atPath: copy, toPath: data)
                try cluster.restart()
                try await expectAnswer(store)
                #expect(try await store.reservation(second.id, holder: nil) == nil)
                guard case .done = try await resolve(store, .confirm, first.id),
                    case .held = try await store.claim(claim([Line(Self.shirt)], id: second.id, by: "bob"), by: .atomic),
                    case .done = try await resolve(store, .confirm, second.id),
                    case .short = try await store.claim(claim([Line(Self.shirt)], by: "cat"), by: .atomic)
                else {
                    Issue.record("What was forgotten is not as it was before.")
                    return
                }
                let states = try await store.states(of: [Self.shirt])
                #expect(states.map { [$0.capacity, $0.held, $0.sold] } == [[2, 0, 2]])
                #expect(try await store.audit(grace: .zero).isClean)
            }
        }
    }

    /// Connections that broke with the server are found out by asking.
    private func expectAnswer(_ store: PostgreSQLReservationStore) async throws {
        try await waitUntil("the server answers") { (try? await store.states(of: [Self.shirt])) != nil }
        #expect(Bool(true))
    }

    /// Not with Foundation's `Process`, which leaks a reference now and then.
    private static func run(_ program: String, _ arguments: [String]) async throws {
        let process = try SupervisedProcess(program, arguments)
        guard try await process.waitForExit() == 0 else {
            throw TestSupportError("\(program) failed: \(process.output)")
        }
    }
}
