import GRDB
import ReservationStoreConformance
import Reservations
import ReservationsSQLite
import Testing

@Suite("Plans of the SQLite store's statements", .timeLimit(.minutes(3)))
struct PlanTests {
    @Test("With 100,000 reservations, nothing on the way of a request reads a whole table")
    func noScan() async throws {
        try await withStore { harness in
            try await harness.sqlite.withDatabase(Self.fill)
            try await Rig(harness).expectCleanAudit()
            for isAnalyzed in [false, true] {
                let scans = try await harness.sqlite.withDatabase { db in
                    if isAnalyzed { try db.execute(sql: "ANALYZE") }
                    return try (SQL.hotPath + Self.triggers).flatMap { try Self.scans(in: $0, db) }
                }
                #expect(scans == [])
            }
            let whole = try await harness.sqlite.withDatabase {
                try Self.scans(in: "SELECT count(*) FROM reservation WHERE holder = ?", $0)
            }
            #expect(!whole.isEmpty, "A scan is not recognized.")
        }
    }

    private static func scans(in sql: String, _ db: Database) throws -> [String] {
        let statement = try db.makeStatement(sql: "EXPLAIN QUERY PLAN " + sql)
        statement.setUncheckedArguments([])
        return try Row.fetchAll(statement).compactMap { row in
            let detail = try row.decode(String.self, atIndex: 3)
            return detail.hasPrefix("SCAN ") && detail != "SCAN CONSTANT ROW" ? "\(detail): \(sql)" : nil
        }
    }

    /// What the schema's triggers look up, which no plan shows.
    private static let triggers = [
        "SELECT 1 FROM ledger WHERE sequence = ?",
        "SELECT 1 FROM ledger WHERE reservation_id = ? AND bucket_id = ? AND phase = ?",
        "SELECT 1 FROM reservation WHERE id = ?",
        "SELECT 1 FROM reservation_line WHERE reservation_id = ? AND bucket_id = ?",
        "SELECT 1 FROM reservation_line WHERE bucket_id = ? AND exclusive = 1 AND state <> 'ended'",
        "SELECT 1 FROM bucket WHERE id = ? OR item = ? AND label = ? AND night = ?",
    ]

    /// 1,000 items with 100 reservations each: most sold or over, 5,000 held.
    private static func fill(_ db: Database) throws {
        try db.execute(
            sql: """
                BEGIN IMMEDIATE;
                WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999)
                INSERT INTO bucket (item, kind, capacity, held, sold) SELECT 'item ' || i, 'counted', 100, 5, 45 FROM n;
                WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
                INSERT INTO reservation (id, holder, state, expires_at, hard_deadline, created_at, resolved_at)
                SELECT CAST(printf('reservation%05d', i) AS BLOB), 'buyer ' || (i % 20000),
                    CASE WHEN i % 100 < 5 THEN 'held' WHEN i % 100 < 50 THEN 'confirmed' ELSE 'expired' END,
                    4000000000000 + i, 5000000000000, i, CASE WHEN i % 100 < 5 THEN NULL ELSE i END FROM n;
                INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive, state)
                SELECT id, 1 + CAST(substr(CAST(id AS TEXT), 12) AS INTEGER) / 100, 1, 0,
                    CASE state WHEN 'held' THEN 'held' WHEN 'confirmed' THEN 'sold' ELSE 'ended' END FROM reservation;
                INSERT INTO ledger (bucket_id, reservation_id, phase, kind, capacity_delta, actor, at)
                SELECT id, NULL, 0, 'stock', 100, 'stock', 0 FROM bucket;
                INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, actor, at)
                SELECT bucket_id, reservation_id, 1, 'hold', 1, 'buyer', 0 FROM reservation_line;
                INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, sold_delta, actor, at)
                SELECT bucket_id, reservation_id, 2, CASE state WHEN 'sold' THEN 'confirm' ELSE 'expire' END, -1,
                    state = 'sold', 'buyer', 0 FROM reservation_line WHERE state <> 'held';
                INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id, created_at)
                SELECT holder, hex(id), 'reserve', 'p', 'done', id, created_at FROM reservation;
                COMMIT;
                """)
    }
}
