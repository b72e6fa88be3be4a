import Reservations
import ReservationsPostgreSQL
import Testing

/// Wrong SQL, written by hand past all of the library's code.
@Suite("The schema refuses", .serialized, .timeLimit(.minutes(2)))
struct SchemaTests {
    /// Buckets: 1, of five, with two held and one sold; 2, a seat that is held; 3, of five that are free. Reservations: `11...`,
    /// held; `22...`, confirmed; `33...`, held and still without lines.
    private static let scene = [
        "INSERT INTO bucket (kind, item, capacity, held, sold, version, fence) VALUES ('counted', 'shirt', 5, 2, 1, 4, 7)",
        "INSERT INTO bucket (kind, item, label, capacity, held) VALUES ('seat', 'concert', 'A1', 1, 1)",
        "INSERT INTO bucket (kind, item, capacity) VALUES ('counted', 'cap', 5)",
        """
        INSERT INTO reservation (id, holder, state, expires_at, hard_deadline) VALUES
            ('11111111-1111-7111-8111-111111111111', 'ann', 'held', now() + interval '60 s', now() + interval '90 s'),
            ('33333333-3333-7333-8333-333333333333', 'cat', 'held', now() + interval '60 s', now() + interval '90 s')
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
        """
        INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id)
        VALUES ('ann', 'click', 'reserve', 'f', 'done', '11111111-1111-7111-8111-111111111111')
        """,
    ]

    /// A line of `33...`.
    private static func line(_ bucket: Int, _ quantity: Int, exclusive: Bool, _ state: String = "held") -> String {
        """
        INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive, state)
        VALUES ('33333333-3333-7333-8333-333333333333', \(bucket), \(quantity), \(exclusive), '\(state)')
        """
    }

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
        ("a bucket of another number", "UPDATE bucket SET id = DEFAULT WHERE item = 'shirt'"),
        ("a bucket of another kind", "UPDATE bucket SET kind = 'night', night = '2026-01-01' WHERE item = 'shirt'"),
        ("another seat", "UPDATE bucket SET label = 'A2' WHERE item = 'concert'"),
        ("a fence that falls", "UPDATE bucket SET fence = 6 WHERE item = 'shirt'"),
        (
            "a line of no reservation",
            """
            INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
            VALUES ('44444444-4444-7444-8444-444444444444', 1, 1, false)
            """
        ),
        ("a seat in two lines", line(2, 1, exclusive: true)),
        ("a seat's line that is not exclusive", line(2, 1, exclusive: false)),
        ("a line that is exclusive and not a seat's", line(3, 1, exclusive: true)),
        ("a line of a bucket that is not there", line(77, 1, exclusive: false)),
        (
            "a bucket twice in a reservation",
            """
            INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
            VALUES ('11111111-1111-7111-8111-111111111111', 1, 1, false)
            """
        ),
        ("a line of nothing", line(3, 0, exclusive: false)),
        ("another quantity afterwards", "UPDATE reservation_line SET quantity = 1 WHERE bucket_id = 1"),
        ("another bucket afterwards", "UPDATE reservation_line SET bucket_id = 3 WHERE bucket_id = 1"),
        ("another seat's line afterwards", "UPDATE reservation_line SET exclusive = false WHERE exclusive"),
        (
            "a line that moves to another",
            "UPDATE reservation_line SET reservation_id = '33333333-3333-7333-8333-333333333333' WHERE exclusive"
        ),
        ("a sale whose line ends", "UPDATE reservation_line SET state = 'ended' WHERE state = 'sold'"),
        ("a hold whose line ends", "UPDATE reservation_line SET state = 'ended' WHERE exclusive"),
        ("a hold whose line is sold", "UPDATE reservation_line SET state = 'sold' WHERE exclusive"),
        ("a line that is gone", "DELETE FROM reservation_line WHERE exclusive"),
        ("all lines gone", "TRUNCATE reservation_line"),
        ("a reservation with lines that is gone", "DELETE FROM reservation WHERE holder = 'ann'"),
        ("all reservations gone", "TRUNCATE reservation CASCADE"),
        ("another holder", "UPDATE reservation SET holder = 'bob' WHERE holder = 'ann'"),
        (
            "another id",
            "UPDATE reservation SET id = '44444444-4444-7444-8444-444444444444' WHERE holder = 'cat'"
        ),
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
        ("a hold that never began", "UPDATE reservation SET expires_at = '-infinity' WHERE holder = 'ann'"),
        ("a hold without end", "UPDATE reservation SET expires_at = 'infinity', hard_deadline = 'infinity'"),
        ("a deadline beyond all numbers", "UPDATE reservation SET hard_deadline = '294276-01-01'"),
        (
            "an end at no time",
            "UPDATE reservation SET resolved_at = 'infinity', state = 'cancelled' WHERE holder = 'ann'"
        ),
        (
            "an entry at no time",
            """
            INSERT INTO ledger (bucket_id, phase, kind, capacity_delta, actor, at) VALUES (1, 0, 'stock', 1, 'a', 'infinity')
            """
        ),
        ("an answer to another request", "UPDATE request SET fingerprint = 'g'"),
        ("an answer to another caller", "UPDATE request SET caller = 'bob'"),
        ("all requests forgotten", "TRUNCATE request"),
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
                request + "('a', 'b', 'c', 'd', 'done', '55555555-5555-7555-8555-555555555555')")
            _ = try await store.client.query(
                "UPDATE reservation SET state = 'returned', resolved_at = now() WHERE holder = 'bob'")
            _ = try await store.client.query(
                """
                INSERT INTO reservation (id, holder, state, expires_at, hard_deadline, resolved_at) VALUES
                    ('44444444-4444-7444-8444-444444444444', 'dan', 'confirmed', now(), now(), now())
                """)
            _ = try await store.client.query(Self.line(3, 1, exclusive: false, "sold"))
            _ = try await store.client.query("UPDATE bucket SET held = 1, sold = 0 WHERE item = 'shirt'")
            let report = try await store.audit(grace: .seconds(60))
            #expect(
                Set(report.findings.map(\.rule)) == [.heldByLines, .soldByLines, .ledger, .lines, .overdue, .request])
            let details = report.findings.map(\.detail)
            #expect(details.contains { $0.contains("44444444") && $0.contains("no lines") })
            #expect(details.contains { $0.contains("22222222") && $0.contains("line that is sold") })
            #expect(details.contains { $0.contains("33333333") && $0.contains("line that is sold") })
            #expect(report.buckets == 3)
            #expect(report.reservations == 4)
        }
    }

    @Test("lines and entries of a bucket that never was are found by the audit")
    func strays() async throws {
        try await withStore { store in
            for statement in Self.scene { _ = try await store.client.query(statement) }
            let before = try await store.audit(grace: .seconds(86_400)).findings.map(\.detail)
            // As after a restoration of some tables and not of others.
            _ = try await store.client.run(
                [
                    Statement("SET LOCAL session_replication_role = replica"),
                    Statement(Self.line(77, 1, exclusive: false)),
                ], mayCommit: true)
            _ = try await store.client.query(
                "INSERT INTO ledger (bucket_id, phase, kind, capacity_delta, actor) VALUES (78, 0, 'stock', 1, 'a')")
            let findings = try await store.audit(grace: .seconds(86_400)).findings
            let strays = findings.filter { $0.detail.contains("not there") && !before.contains($0.detail) }
            #expect(strays.map(\.rule) == [.lines, .ledger])
        }
    }

    @Test("a table of one's own by the name of the buckets' deceives nobody")
    func shadow() async throws {
        try await withStore { store in
            for statement in Self.scene { _ = try await store.client.query(statement) }
            let error = await #expect(throws: DatabaseError.self) {
                try await store.client.run(
                    [
                        Statement(
                            "CREATE TEMPORARY TABLE bucket ON COMMIT DROP AS SELECT 2::bigint AS id, 'counted' AS kind"),
                        Statement(Self.line(2, 1, exclusive: false)),
                    ], mayCommit: true)
            }
            #expect(error?.sqlState == "23001")
        }
    }
}
