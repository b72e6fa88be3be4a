import GRDB
import ReservationStoreConformance
import Reservations
import Testing

/// Wrong SQL, written by hand by somebody who uses none of our code, and without foreign keys as SQLite is by default.
struct WrongStatement: CustomTestStringConvertible, Sendable {
    let what: String
    let sql: String

    var testDescription: String { what }

    init(_ what: String, _ sql: String) {
        self.what = what
        self.sql = sql
    }

    private static let other = "(SELECT id FROM reservation WHERE holder = 'other')"
    private static let mine = "(SELECT id FROM reservation WHERE holder = 'buyer')"
    private static let sold = "(SELECT id FROM reservation WHERE holder = 'owner')"
    private static let seat = "(SELECT id FROM bucket WHERE kind = 'seat')"
    private static let shirt = "(SELECT id FROM bucket WHERE item = 'shirt')"

    static let all = [
        WrongStatement("oversell by a hold", "UPDATE bucket SET held = capacity + 1"),
        WrongStatement("oversell by a sale", "UPDATE bucket SET sold = capacity WHERE item = 'shirt'"),
        WrongStatement("oversell by less capacity", "UPDATE bucket SET capacity = 2 WHERE item = 'shirt'"),
        WrongStatement("negative hold", "UPDATE bucket SET held = -1"),
        WrongStatement("negative sale", "UPDATE bucket SET sold = -1, held = 0"),
        WrongStatement("negative capacity", "UPDATE bucket SET capacity = -1, held = 0, sold = 0"),
        WrongStatement("a number that is none", "UPDATE bucket SET held = 'many'"),
        WrongStatement("two of one seat", "UPDATE bucket SET capacity = 2 WHERE kind = 'seat'"),
        WrongStatement("another name", "UPDATE bucket SET item = 'skirt' WHERE item = 'shirt'"),
        WrongStatement("a lower fence", "UPDATE bucket SET fence = 1 WHERE item = 'shirt'"),
        WrongStatement("no bucket", "DELETE FROM bucket WHERE kind = 'seat'"),
        WrongStatement(
            "a bucket replaced",
            "INSERT OR REPLACE INTO bucket (item, kind, capacity) VALUES ('shirt', 'counted', 900)"),
        WrongStatement(
            "a seat sold twice", "INSERT INTO reservation_line VALUES (\(other), \(seat), 1, 1, 'held')"),
        WrongStatement(
            "a seat taken over", "INSERT OR REPLACE INTO reservation_line VALUES (\(other), \(seat), 1, 1, 'held')"),
        WrongStatement(
            "a seat by the back door", "INSERT INTO reservation_line VALUES (\(other), \(seat), 1, 0, 'held')"),
        WrongStatement(
            "a line for another", "UPDATE OR REPLACE reservation_line SET reservation_id = \(other) WHERE exclusive"),
        WrongStatement("more than was reserved", "UPDATE reservation_line SET quantity = 3 WHERE exclusive = 0"),
        WrongStatement("a line without end", "DELETE FROM reservation_line WHERE exclusive"),
        WrongStatement("a line that lives again", "UPDATE reservation_line SET state = 'held' WHERE state = 'sold'"),
        WrongStatement(
            "cancelled after it was sold", "UPDATE reservation SET state = 'cancelled' WHERE state = 'confirmed'"),
        WrongStatement(
            "held again", "UPDATE reservation SET state = 'held', resolved_at = NULL WHERE state = 'confirmed'"),
        WrongStatement("sold at no time", "UPDATE reservation SET state = 'confirmed' WHERE state = 'held'"),
        WrongStatement("held beyond the deadline", "UPDATE reservation SET expires_at = hard_deadline + 1"),
        WrongStatement("no reservation", "DELETE FROM reservation WHERE holder = 'buyer'"),
        WrongStatement(
            "a reservation replaced",
            "INSERT OR REPLACE INTO reservation VALUES (\(mine), 'thief', 'held', 1, 2, 0, NULL)"),
        WrongStatement("a ledger that changes", "UPDATE ledger SET held_delta = 0 WHERE sequence = 1"),
        WrongStatement("a ledger that forgets", "DELETE FROM ledger WHERE sequence = 1"),
        WrongStatement("a ledger emptied", "DELETE FROM ledger"),
        WrongStatement(
            "a ledger rewritten",
            """
            INSERT OR REPLACE INTO ledger (sequence, bucket_id, phase, kind, actor, at)
            VALUES (1, \(shirt), 0, 'stock', 'thief', 0)
            """),
        WrongStatement(
            "resolved twice in the ledger",
            """
            INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor, at)
            VALUES (\(shirt), \(sold), 2, 'cancel', -1, 'thief', 0)
            """),
        WrongStatement(
            "resolved otherwise in the ledger",
            """
            INSERT OR REPLACE INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor, at)
            VALUES (\(shirt), \(sold), 2, 'cancel', -1, 'thief', 0)
            """),
        WrongStatement(
            "an answer without an answer",
            """
            INSERT INTO request (caller, key, operation, fingerprint, state, created_at)
            VALUES ('thief', 'k', 'reserve', 'p', 'done', 0)
            """),
    ]
}

@Suite("SQL by hand", .timeLimit(.minutes(2)))
struct HandWrittenSQLTests {
    @Test("It is refused, and nothing has changed", arguments: WrongStatement.all)
    func refused(statement: WrongStatement) async throws {
        try await withStore { harness in
            try await Self.fill(harness)
            var plain = Configuration()
            plain.foreignKeysEnabled = false
            let queue = try DatabaseQueue(path: harness.path, configuration: plain)
            let before = try await queue.read(Self.contents)
            let error = await #expect(throws: DatabaseError.self) {
                try await queue.write { try $0.execute(sql: statement.sql) }
            }
            #expect(error?.resultCode == .SQLITE_CONSTRAINT, "\(error?.message ?? "")")
            #expect(try await queue.read(Self.contents) == before)
            try queue.close()
            try await Rig(harness).expectCleanAudit()
        }
    }

    /// A shirt held, one sold and one held by somebody else, of 5; and a seat, which is held.
    private static func fill(_ harness: SQLiteHarness) async throws {
        let shirt = Bucket.counted("shirt")
        let seat = Bucket.seat("hall", "A1")
        for (bucket, capacity) in [(shirt, 5), (seat, 1)] {
            _ = try await harness.store.restock(StockChange(bucket: bucket, delta: capacity, actor: "stock"))
        }
        for (holder, lines) in [
            ("buyer", [Line(shirt), Line(seat)]), ("owner", [Line(shirt)]), ("other", [Line(shirt)]),
        ] {
            let claim = Claim(
                id: .make(), holder: holder, cart: Cart(trusted: lines), ttl: .seconds(600), totalHold: .seconds(900),
                maximumLiveHolds: nil, request: nil)
            _ = try await harness.store.claim(claim, by: .fenced(token: 7))
            guard holder == "owner" else { continue }
            _ = try await harness.store.resolve(
                Resolution(id: claim.id, holder: holder, kind: .confirm, actor: holder))
        }
    }

    private static func contents(_ db: Database) throws -> [String] {
        try ["bucket", "reservation", "reservation_line", "ledger", "request"].flatMap { table in
            try Row.fetchAll(db, sql: "SELECT * FROM \(table) ORDER BY 1, 2").map(\.description)
        }
    }

    @Test("What was broken behind the schema's back is found by the audit", arguments: Self.breaks)
    func audited(rule: AuditReport.Finding.Rule, sql: String) async throws {
        try await withStore { harness in
            try await Self.fill(harness)
            try await harness.sqlite.withDatabase { db in
                let triggers = try String.fetchAll(db, sql: "SELECT name FROM sqlite_schema WHERE type = 'trigger'")
                for trigger in triggers { try db.execute(sql: "DROP TRIGGER \(trigger)") }
                try db.execute(sql: "PRAGMA ignore_check_constraints = ON; PRAGMA foreign_keys = OFF; " + sql)
            }
            let report = try await harness.store.audit(grace: .seconds(60))
            #expect(report.findings.map(\.rule).contains(rule), "\(report.findings)")
            #expect(report.buckets == 2 && report.reservations == 3)
        }
    }

    static let breaks: [(AuditReport.Finding.Rule, String)] = [
        (.heldByLines, "UPDATE bucket SET held = held - 1 WHERE item = 'shirt'"),
        (.soldByLines, "UPDATE bucket SET sold = sold + 1 WHERE item = 'shirt'"),
        (.ledger, "DELETE FROM ledger WHERE kind = 'confirm'"),
        (.oversell, "UPDATE bucket SET capacity = 1 WHERE item = 'shirt'"),
        (.lines, "UPDATE reservation_line SET state = 'ended' WHERE state = 'sold'"),
        (.lines, "DELETE FROM reservation_line WHERE state = 'sold'"),
        (.overdue, "UPDATE reservation SET expires_at = 1000 WHERE state = 'held'"),
        (
            .request,
            """
            INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id, created_at)
            VALUES ('a', 'b', 'reserve', 'p', 'done', x'00112233445566778899aabbccddeeff', 1)
            """
        ),
    ]
}
