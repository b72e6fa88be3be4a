import Foundation
import Reservations
import ReservationsPostgreSQL
import TestSupport
import Testing

@Suite("Plans", .serialized, .timeLimit(.minutes(4)))
struct PlanTests {
    /// What the server says about each statement, those inside functions too.
    private static var options: PostgreSQLTestCluster.Options {
        var options = PostgreSQLTestCluster.Options()
        options.configuration = [
            "session_preload_libraries = 'auto_explain'", "auto_explain.log_nested_statements = on",
            "auto_explain.log_level = notice", "auto_explain.log_min_duration = 0", "auto_explain.log_format = json",
        ]
        return options
    }

    @Test(
        "nothing but the audit reads a table from end to end, with 100,000 reservations", .serialized,
        arguments: [true, false])
    func noSequentialScan(isAnalyzed: Bool) async throws {
        try await PostgreSQLTestCluster.with(Self.options) { cluster in
            let notebook = Notebook()
            try await withStore(url: cluster.url, onNotice: { notebook.write($0) }, { $0.maximumConnections = 1 }) {
                store in
                // Plans are made now, when the tables are empty, and stay with the connection.
                for _ in 0..<7 { try await Self.useEverything(store) }
                try await Self.fill(store, isAnalyzed: isAnalyzed)
                _ = notebook.take()
                try await Self.useEverything(store)
                let plans = notebook.take()
                #expect(plans.count > 100)
                #expect(plans.contains { $0.contains("reservation_pkey") })
                let scans = try plans.filter { try !Self.wholeReads(in: $0).isEmpty }
                #expect(scans.isEmpty, "\(scans.first ?? "")")
                // The check itself would see them.
                _ = try await store.client.query("SELECT count(*) FROM reservation WHERE holder || '' = 'x'")
                #expect(try notebook.take().flatMap(Self.wholeReads) == ["Seq Scan"])
                _ = try await store.client.query("SELECT id FROM reservation ORDER BY id")
                #expect(try notebook.take().flatMap(Self.wholeReads) == ["Index Only Scan"])
            }
        }
    }

    @Test("a batch of a line is found by its names, and not among all who wait")
    func batches() async throws {
        try await PostgreSQLTestCluster.with(Self.options) { cluster in
            let notebook = Notebook()
            try await withStore(url: cluster.url, onNotice: { notebook.write($0) }, { $0.maximumConnections = 1 }) {
                store in
                _ = try await store.preparePartitions(2)
                _ = try await store.takePartition(0, token: 1)
                // Enough for plans that are kept, made when next to nobody waits.
                for round in 1...9 {
                    let claims = (0..<3).map { _ in Self.claim([Line(.counted("a"))], Self.key("reserve")) }
                    _ = try await store.enqueue(claims, in: 0, limits: IntakeLimits(waiting: 100, perCaller: 100))
                    let names = claims.compactMap { $0.request.map { RequestName(caller: $0.caller, key: $0.key) } }
                    let before = round == 1 ? QueuePosition.start : QueuePosition(UInt64(round) - 1)
                    let batch = QueueBatch(
                        partition: 0, token: 1, from: before, through: QueuePosition(UInt64(round)),
                        turns: names.map { QueueBatch.Turn($0) })
                    guard case .decided(_, let verdicts) = try await store.decide(batch) else {
                        return #expect(Bool(false), "The batch was not decided.")
                    }
                    #expect(verdicts.count == 3)
                }
                let plans = notebook.take().filter { $0.contains("FOR UPDATE") && $0.contains("p_treatments") }
                #expect(plans.count == 9)
                #expect(plans.allSatisfy { $0.contains("request_pkey") && !$0.contains("request_in_line") })
            }
        }
    }

    private struct Explained: Decodable {
        let plan: Node

        enum CodingKeys: String, CodingKey {
            case plan = "Plan"
        }
    }

    private struct Node: Decodable {
        let type: String
        let condition: String?
        let children: [Node]?

        enum CodingKeys: String, CodingKey {
            case type = "Node Type"
            case condition = "Index Cond"
            case children = "Plans"
        }

        var all: [Node] { [self] + (children ?? []).flatMap(\.all) }

        /// Of a table, or of an index of it.
        var readsAll: Bool {
            switch type {
            case "Seq Scan": true
            case "Index Scan", "Index Only Scan", "Bitmap Index Scan": condition == nil
            default: false
            }
        }
    }

    /// The nodes of a plan that read a table, or an index, from end to end.
    private static func wholeReads(in notice: String) throws -> [String] {
        guard let start = notice.firstIndex(of: "{"), let end = notice.lastIndex(of: "}") else { return [] }
        let plan = try JSONDecoder().decode(Explained.self, from: Data(notice[start...end].utf8)).plan
        return plan.all.filter(\.readsAll).map(\.type)
    }

    private static func fill(_ store: PostgreSQLReservationStore, isAnalyzed: Bool) async throws {
        let statements = [
            "SET LOCAL synchronous_commit = off", "SET LOCAL auto_explain.log_min_duration = -1",
            """
            INSERT INTO bucket (kind, item, label, capacity, held)
            SELECT 'seat', 'hall', 'S' || n, 1, 0 FROM generate_series(1, 2000) n
            """,
            "INSERT INTO bucket (kind, item, capacity) SELECT 'counted', 'item' || n, 1000 FROM generate_series(1, 1000) n",
            """
            INSERT INTO reservation (id, holder, state, expires_at, hard_deadline, resolved_at)
            SELECT lpad(to_hex(n), 32, '0')::uuid, 'holder' || n % 5000,
                CASE WHEN n % 3 = 0 THEN 'held' ELSE 'confirmed' END,
                now() + (n % 1000 + 100) * interval '1 s', now() + interval '1 day',
                CASE WHEN n % 3 = 0 THEN NULL ELSE now() END
            FROM generate_series(1, 100000) n
            """,
            """
            INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive, state)
            SELECT r.id, b.id, 1, false, CASE r.state WHEN 'held' THEN 'held' ELSE 'sold' END
            FROM (SELECT *, row_number() OVER () AS n FROM reservation WHERE holder LIKE 'holder%') r
            JOIN bucket b ON b.item = CASE WHEN r.n % 10 = 0 THEN 'a' ELSE 'item' || r.n % 1000 + 1 END
            """,
            """
            INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor)
            SELECT bucket_id, reservation_id, 1, 'hold', 1, 'x' FROM reservation_line
            WHERE reservation_id IN (SELECT id FROM reservation WHERE holder LIKE 'holder%')
            """,
            """
            INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id)
            SELECT holder, id::text, 'reserve', 'f', 'done', id FROM reservation
            """,
            "UPDATE bucket SET capacity = 1000000, held = 5000 WHERE item = 'a'",
        ]
        _ = try await store.client.run(
            statements.map { Statement($0, isPrepared: false) }, mayCommit: true, timeout: .seconds(120))
        if isAnalyzed { _ = try await store.client.query("ANALYZE") }
    }

    /// Every method, on every path that many take.
    private static func useEverything(_ store: PostgreSQLReservationStore) async throws {
        let (a, b) = (Bucket.counted("a"), Bucket.seat("hall", "X1"))
        _ = try await store.restock(StockChange(bucket: a, delta: 100, actor: "x", request: key("restock")))
        if try await store.states(of: [b]).isEmpty {
            _ = try await store.restock(StockChange(bucket: b, delta: 1, actor: "x"))
        }
        let versions = Dictionary(
            uniqueKeysWithValues: try await store.states(of: [a, b]).map { ($0.bucket, $0.version) })
        var held: [Reservation] = []
        let rules: [ClaimRule] = [
            .atomic, .pessimistic(lockTimeout: .seconds(1)), .fenced(token: .max), .optimistic(versions: [a: -1]),
        ]
        for rule in rules {
            let outcome = try await store.claim(claim([Line(a)], key("reserve")), by: rule)
            if case .held(let reservation) = outcome { held.append(reservation) }
        }
        _ = try await store.claim(claim([Line(a), Line(b)]), by: .optimistic(versions: versions))
        let both = try await store.claim(claim([Line(a), Line(b)]), by: .fenced(token: .max))
        if case .held(let reservation) = both { held.append(reservation) }
        _ = try await store.claim(claim([Line(a, quantity: 1_000_000_000)], key("reserve")), by: .atomic)
        _ = try await store.claim(claim([Line(b)]), by: .atomic)
        _ = try await store.claim(claim([Line(a)], limit: 1), by: .atomic)
        for (index, reservation) in held.enumerated() {
            _ = try await store.extend(HoldExtension(id: reservation.id, holder: "ann", ttl: .seconds(70)))
            try await resolve(index == 0 ? .confirm : .cancel, reservation.id, store)
        }
        if let first = held.first { try await resolve(.return, first.id, store) }
        try await expireOne(store, a)
        _ = try await store.neighbours(of: b, limit: 3)
        _ = try await store.states(ofItem: "hall", after: nil, limit: 10)
        _ = try await store.states(ofItem: "hall", after: b, limit: 10)
        _ = try await store.ledger(ofItem: nil, after: 10, limit: 10)
        _ = try await store.ledger(ofItem: "a", after: 10, limit: 10)
        _ = try await store.forgetRequests(olderThan: .seconds(3600), limit: 10)
    }

    private static func expireOne(_ store: PostgreSQLReservationStore, _ bucket: Bucket) async throws {
        for buckets in [[bucket], nil] {
            guard case .held(let hold) = try await store.claim(claim([Line(bucket)]), by: .atomic) else { continue }
            try await PostgreSQLHarness(postgres: store).age(hold.id, by: .seconds(1000))
            _ = try await store.claim(claim([Line(bucket, quantity: 1_000_000_000)]), by: .atomic)
            _ = try await store.expire(buckets, limit: 10)
            _ = try await store.reservation(hold.id, holder: "ann")
            try await resolve(.confirm, hold.id, store, replacement: .make())
        }
    }

    private static func resolve(
        _ kind: Resolution.Kind, _ id: ReservationID, _ store: PostgreSQLReservationStore,
        replacement: ReservationID? = nil
    ) async throws {
        _ = try await store.resolve(
            Resolution(
                id: id, holder: "ann", kind: kind, replacement: replacement, actor: "ann", request: key(kind.rawValue)))
    }

    private static func key(_ operation: String) -> RequestKey {
        RequestKey(caller: "ann", key: ReservationID.make().description, operation: operation, fingerprint: "f")
    }

    private static func claim(_ lines: [Line], _ key: RequestKey? = nil, limit: Int? = 10) -> Claim {
        Claim(
            id: .make(), holder: "ann", cart: Cart(trusted: lines), ttl: .seconds(60), totalHold: .seconds(600),
            maximumLiveHolds: limit, request: key)
    }
}
