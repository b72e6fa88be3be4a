import Reservations
import ReservationsPostgreSQL
import Testing

/// Wrong SQL, written by hand past all of the library's code.
@Suite("The schema refuses", .serialized, .timeLimit(.minutes(2)))
struct SchemaTests {
    /// A bucket of five with two held and one sold, a seat that is held, and reservations `11...` (held), `22...` (confirmed).
    private static let scene = [
        "INSERT INTO bucket (kind, item, capacity, held, sold) VALUES ('counted', 'shirt', 5, 2, 1)",
        "INSERT INTO bucket (kind, item, label, capacity, held) VALUES ('seat', 'concert', 'A1', 1, 1)",
        """
        INSERT INTO reservation (id, holder, state, expires_at, hard_deadline) VALUES
            ('11111111-1111-7111-8111-111111111111', 'ann', 'held', now() + interval '60 s', now() + interval '90 s')
        """,
        """
        INSERT INTO reservation (id, holder, state, expires_at, hard_deadline, resolved_at) VALUES
            ('22222222-2222-7222-8222-222222222222', 'bob', 'confirmed', now(), now(), now())
        """,
        """
        INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive) VALUES
            ('11111111-1111-7111-8111-111111111111', 1, 2, false), ('11111111-1111-7111-8111-111111111111', 2, 1, true)
        """,
        """
        INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive, state) VALUES
            ('22222222-2222-7222-8222-222222222222', 1, 1, false, 'sold')
        """,
        """
        INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor) VALUES
            (1, '11111111-1111-7111-8111-111111111111', 1, 'hold', 2, 'ann'),
            (1, '11111111-1111-7111-8111-111111111111', 2, 'confirm', -2, 'ann')
        """,
    ]

    static let wrongs: [(String, String)] = [
        ("an oversell", "UPDATE bucket SET held = held + 3 WHERE item = 'shirt'"),
        ("selling more than there is", "UPDATE bucket SET sold = 4 WHERE item = 'shirt'"),
        ("taking away what is promised", "UPDATE bucket SET capacity = 2 WHERE item = 'shirt'"),
        ("less than nothing held", "UPDATE bucket SET held = -1 WHERE item = 'shirt'"),
        ("less than nothing sold", "UPDATE bucket SET sold = sold - 2 WHERE item = 'shirt'"),
        ("two of one seat", "UPDATE bucket SET capacity = 2 WHERE item = 'concert'"),
        ("the same bucket twice", "INSERT INTO bucket (kind, item, capacity) VALUES ('counted', 'shirt', 1)"),
        ("a night without a date", "INSERT INTO bucket (kind, item, capacity) VALUES ('night', 'room', 1)"),
        ("a bucket that is gone", "DELETE FROM bucket WHERE item = 'shirt'"),
        ("all buckets gone", "TRUNCATE bucket"),
        ("a bucket of another name", "UPDATE bucket SET item = 'trousers' WHERE item = 'shirt'"),
        (
            "a line of no reservation",
            """
            INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
            VALUES ('33333333-3333-7333-8333-333333333333', 1, 1, false)
            """
        ),
        (
            "a seat in two lines",
            """
            INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
            VALUES ('22222222-2222-7222-8222-222222222222', 2, 1, true)
            """
        ),
        (
            "a bucket twice in a reservation",
            """
            INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
            VALUES ('11111111-1111-7111-8111-111111111111', 1, 1, false)
            """
        ),
        (
            "a line of nothing",
            """
            INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
            VALUES ('22222222-2222-7222-8222-222222222222', 2, 0, false)
            """
        ),
        ("another quantity afterwards", "UPDATE reservation_line SET quantity = 1 WHERE bucket_id = 1"),
        ("a line that comes back", "UPDATE reservation_line SET state = 'held' WHERE state = 'sold'"),
        (
            "a confirmation after a confirmation",
            """
            INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor)
            VALUES (1, '11111111-1111-7111-8111-111111111111', 2, 'confirm', -2, 'ann')
            """
        ),
        (
            "a cancellation after a confirmation",
            """
            INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor)
            VALUES (1, '11111111-1111-7111-8111-111111111111', 2, 'cancel', -2, 'ann')
            """
        ),
        (
            "a kind in the wrong phase",
            """
            INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor)
            VALUES (1, '22222222-2222-7222-8222-222222222222', 1, 'confirm', -2, 'ann')
            """
        ),
        ("a ledger that is rewritten", "UPDATE ledger SET held_delta = 0"),
        ("a ledger with a page torn out", "DELETE FROM ledger WHERE sequence = 1"),
        ("an empty ledger", "TRUNCATE ledger"),
        ("a sale that is cancelled", "UPDATE reservation SET state = 'cancelled' WHERE holder = 'bob'"),
        (
            "a sale that is a hold again",
            "UPDATE reservation SET state = 'held', resolved_at = NULL WHERE holder = 'bob'"
        ),
        ("a resolution without a time", "UPDATE reservation SET state = 'confirmed' WHERE holder = 'ann'"),
        (
            "a hold that is returned",
            "UPDATE reservation SET state = 'returned', resolved_at = now() WHERE holder = 'ann'"
        ),
        ("a hold beyond its deadline", "UPDATE reservation SET expires_at = hard_deadline + interval '1 s'"),
        (
            "an answer of nothing",
            "INSERT INTO request (caller, key, operation, fingerprint, state) VALUES ('a', 'b', 'c', 'd', 'done')"
        ),
    ]

    @Test("wrong SQL written by hand", arguments: wrongs)
    func refuses(what: String, sql: String) async throws {
        try await withStore { store in
            for statement in Self.scene { _ = try await store.client.query(statement) }
            let error = await #expect(throws: DatabaseError.self, "\(what) was accepted") {
                try await store.client.query(sql)
            }
            #expect(error?.sqlState?.hasPrefix("23") == true, "\(what): \(error?.description ?? "")")
        }
    }

    @Test("what it does not refuse by itself, the audit finds")
    func audit() async throws {
        try await withStore { store in
            for statement in Self.scene { _ = try await store.client.query(statement) }
            _ = try await store.client.query(
                "UPDATE reservation SET expires_at = now() - interval '1 h' WHERE holder = 'ann'")
            let request = "INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id) VALUES "
            _ = try await store.client.query(
                request + "('a', 'b', 'c', 'd', 'done', '33333333-3333-7333-8333-333333333333')")
            _ = try await store.client.query("UPDATE reservation_line SET state = 'ended' WHERE state = 'sold'")
            _ = try await store.client.query("UPDATE bucket SET held = 1 WHERE item = 'shirt'")
            let report = try await store.audit(grace: .seconds(60))
            #expect(
                Set(report.findings.map(\.rule)) == [.heldByLines, .soldByLines, .ledger, .lines, .overdue, .request])
            #expect(report.buckets == 2)
            #expect(report.reservations == 2)
        }
    }

    @Test("lines and entries of a bucket that never was are found by the audit")
    func strays() async throws {
        try await withStore { store in
            for statement in Self.scene { _ = try await store.client.query(statement) }
            let before = try await store.audit(grace: .seconds(86_400)).findings.map(\.detail)
            _ = try await store.client.query(
                """
                INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
                VALUES ('22222222-2222-7222-8222-222222222222', 77, 1, false)
                """)
            _ = try await store.client.query(
                "INSERT INTO ledger (bucket_id, phase, kind, capacity_delta, actor) VALUES (78, 0, 'stock', 1, 'a')")
            let findings = try await store.audit(grace: .seconds(86_400)).findings
            let strays = findings.filter { $0.detail.contains("not there") && !before.contains($0.detail) }
            #expect(strays.map(\.rule) == [.lines, .ledger])
        }
    }
}
