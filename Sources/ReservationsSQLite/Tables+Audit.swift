#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import GRDB
import Reservations

extension Tables {
    /// One snapshot: whoever writes meanwhile is not seen. Reads all tables.
    func audit(grace: Duration) throws -> AuditReport {
        var findings = try overdue(before: now - grace.milliseconds) + strayRequests() + strayLines()
        try findings.append(
            contentsOf: all(SQL.auditBuckets, [AuditReport.maximumFindings]) { try Self.deviations($0) }
                .flatMap { $0 })
        return AuditReport(
            findings: findings, buckets: try count("bucket"), reservations: try count("reservation"))
    }

    /// - Parameter table: one of ours.
    private func count(_ table: String) throws -> Int {
        try first("SELECT count(*) FROM \(table)", []) { try $0.decode(atIndex: 0) } ?? 0
    }

    /// From the columns of ``SQL/auditBuckets``.
    private static func deviations(_ row: Row) throws -> [AuditReport.Finding] {
        let bucket = try Bucket(row, at: 0)
        let number = { (index: Int) in try row.decode(Int.self, atIndex: index) }
        let (capacity, held, sold) = (try number(4), try number(5), try number(6))
        let (heldLines, soldLines) = (try number(7), try number(8))
        let entered = [try number(9), try number(10), try number(11)]
        var findings: [AuditReport.Finding] = []
        if held != heldLines {
            findings.append(.init(.heldByLines, "\(bucket): held \(held), lines say \(heldLines)."))
        }
        if sold != soldLines {
            findings.append(.init(.soldByLines, "\(bucket): sold \(sold), lines say \(soldLines)."))
        }
        if [capacity, held, sold] != entered {
            findings.append(
                .init(
                    .ledger,
                    "\(bucket): capacity \(capacity), held \(held), sold \(sold); the ledger says "
                        + entered.map(String.init).joined(separator: ", ") + "."))
        }
        if held < 0 || sold < 0 || held + sold > capacity {
            findings.append(.init(.oversell, "\(bucket): held \(held) and sold \(sold) of \(capacity)."))
        }
        return findings
    }

    private func overdue(before limit: Int64) throws -> [AuditReport.Finding] {
        try all(SQL.auditOverdue, [limit, AuditReport.maximumFindings]) { row in
            let id = ReservationID(try row.decode(UUID.self, atIndex: 0))
            let time = try row.date(1).ISO8601Format()
            return .init(.overdue, "Reservation \(id) should have expired at \(time).")
        }
    }

    private func strayLines() throws -> [AuditReport.Finding] {
        try all(SQL.auditLines, [AuditReport.maximumFindings]) { row in
            let id = ReservationID(try row.decode(UUID.self, atIndex: 0))
            let state = try row.decode(String.self, atIndex: 1)
            let line = try row.decode(String?.self, atIndex: 2)
            return .init(
                .lines,
                "Reservation \(id) is \(state) and " + (line.map { "has a line that is \($0)." } ?? "has no lines."))
        }
    }

    private func strayRequests() throws -> [AuditReport.Finding] {
        try all(SQL.auditRequests, [AuditReport.maximumFindings]) { _ in
            .init(.request, "A request is done and what it answers is not there.")
        }
    }
}

extension SQL {
    /// Buckets whose numbers are not those of their lines and their ledger.
    static let auditBuckets = """
        WITH lines AS (
            SELECT bucket_id, sum(quantity) FILTER (WHERE state = 'held') AS held,
                sum(quantity) FILTER (WHERE state = 'sold') AS sold
            FROM reservation_line WHERE state <> 'ended' GROUP BY bucket_id
        ), entries AS (
            SELECT bucket_id, sum(capacity_delta) AS capacity, sum(held_delta) AS held, sum(sold_delta) AS sold
            FROM ledger GROUP BY bucket_id
        )
        SELECT b.item, b.kind, b.label, b.night, b.capacity, b.held, b.sold,
            coalesce(l.held, 0), coalesce(l.sold, 0),
            coalesce(e.capacity, 0), coalesce(e.held, 0), coalesce(e.sold, 0)
        FROM bucket b LEFT JOIN lines l ON l.bucket_id = b.id LEFT JOIN entries e ON e.bucket_id = b.id
        WHERE (b.held, b.sold) <> (coalesce(l.held, 0), coalesce(l.sold, 0))
            OR (b.capacity, b.held, b.sold) <> (coalesce(e.capacity, 0), coalesce(e.held, 0), coalesce(e.sold, 0))
            OR b.held < 0 OR b.sold < 0 OR b.held + b.sold > b.capacity
        ORDER BY b.item, b.label, b.night LIMIT ?
        """
    static let auditOverdue = """
        SELECT id, expires_at FROM reservation WHERE state = 'held' AND expires_at < ? ORDER BY expires_at, id LIMIT ?
        """
    /// Reservations whose lines are not in their own state, or that have none.
    static let auditLines = """
        SELECT r.id, r.state, l.state
        FROM reservation r LEFT JOIN reservation_line l ON l.reservation_id = r.id
        WHERE l.state IS NOT CASE r.state WHEN 'held' THEN 'held' WHEN 'confirmed' THEN 'sold' ELSE 'ended' END
        LIMIT ?
        """
    static let auditRequests = """
        SELECT 1 FROM request q
        WHERE q.state = 'done' AND q.answer IS NULL
            AND NOT EXISTS (SELECT 1 FROM reservation r WHERE r.id = q.reservation_id)
            AND NOT EXISTS (SELECT 1 FROM bucket b WHERE b.id = q.bucket_id)
        LIMIT ?
        """
}
