import Reservations

extension PostgreSQLReservationStore {
    /// See `ReservationStore.reservation(_:holder:)`.
    public func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation? {
        let rows = try await read("SELECT reservation_json($1)", ["\(id)"])
        guard let json = rows[0, 0] else { return nil }
        let found = try Answers.reservation(json)
        return found.belongs(to: holder) ? found : nil
    }

    private static let columns = "b.kind, b.item, b.label, b.night, b.capacity, b.held, b.sold, b.version, b.fence"

    /// See `ReservationStore.states(of:)`.
    public func states(of buckets: [Bucket]) async throws(StoreError) -> [BucketState] {
        try await states(
            """
            SELECT \(Self.columns)
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS l(kind, item, label, night),
                LATERAL (
                    SELECT * FROM bucket x
                    WHERE x.item = l.item AND x.label = l.label AND x.night = l.night AND x.kind = l.kind OFFSET 0
                ) b
            ORDER BY b.item, b.label, b.night, b.kind
            """, BucketArrays(buckets).parameters)
    }

    /// See `ReservationStore.states(ofItem:after:limit:)`.
    public func states(ofItem item: String, after last: Bucket?, limit: Int) async throws(StoreError) -> [BucketState] {
        guard let last else {
            return try await states(
                """
                SELECT \(Self.columns) FROM bucket b WHERE b.item = $1 ORDER BY b.item, b.label, b.night LIMIT $2
                """, [item, Answers.limit(limit)])
        }
        return try await states(
            """
            SELECT \(Self.columns) FROM bucket b
            WHERE b.item = $1 AND (b.item, b.label, b.night) > ($2, $3, $4)
            ORDER BY b.item, b.label, b.night LIMIT $5
            """, [item, last.item, last.label, last.night, Answers.limit(limit)])
    }

    /// See `ReservationStore.neighbours(of:limit:)`.
    public func neighbours(of bucket: Bucket, limit: Int) async throws(StoreError) -> [BucketState] {
        try await states(
            """
            SELECT * FROM (
                SELECT \(Self.columns) FROM bucket b
                WHERE b.item = $1 AND b.kind = $2 AND (b.label, b.night) < ($3, $4)
                ORDER BY b.item DESC, b.label DESC, b.night DESC LIMIT $5
            ) before
            UNION ALL
            SELECT * FROM (
                SELECT \(Self.columns) FROM bucket b
                WHERE b.item = $1 AND b.kind = $2 AND (b.label, b.night) > ($3, $4)
                ORDER BY b.item, b.label, b.night LIMIT $5
            ) after
            ORDER BY item, label, night
            """, [bucket.item, bucket.kind.rawValue, bucket.label, bucket.night, Answers.limit(limit)])
    }

    private func states(_ sql: String, _ parameters: [String?]) async throws(StoreError) -> [BucketState] {
        let rows = try await read(sql, parameters)
        var states: [BucketState] = []
        for row in 0..<rows.count { states.append(try Answers.state(rows[row])) }
        return states
    }

    /// See `ReservationStore.ledger(ofItem:after:limit:)`.
    ///
    /// Numbers are given when entries are written, and entries appear when their transactions commit: an entry may appear
    /// after one with a greater number. Who follows the ledger looks a little further back than the last number it has seen.
    public func ledger(
        ofItem item: String?, after sequence: Int64, limit: Int
    ) async throws(StoreError) -> [LedgerEntry] {
        let columns = """
            b.kind, b.item, b.label, b.night, e.sequence, e.reservation_id, e.kind, e.capacity_delta, e.held_delta,
            e.sold_delta, e.fence, e.actor, micros(e.at)
            """
        let rows =
            if let item {
                try await read(
                    """
                    SELECT \(columns) FROM bucket b, LATERAL (
                        SELECT * FROM ledger x WHERE x.bucket_id = b.id AND x.sequence > $2
                        ORDER BY x.sequence LIMIT $3
                    ) e
                    WHERE b.item = $1 ORDER BY e.sequence LIMIT $3
                    """, [item, "\(sequence)", Answers.limit(limit)])
            } else {
                try await read(
                    """
                    SELECT \(columns) FROM (SELECT * FROM ledger WHERE sequence > $1 ORDER BY sequence LIMIT $2) e,
                        LATERAL (SELECT * FROM bucket x WHERE x.id = e.bucket_id OFFSET 0) b
                    ORDER BY e.sequence
                    """, ["\(sequence)", Answers.limit(limit)])
            }
        var entries: [LedgerEntry] = []
        for row in 0..<rows.count { entries.append(try Self.entry(rows[row])) }
        return entries
    }

    private static func entry(_ row: ArraySlice<String?>) throws(StoreError) -> LedgerEntry {
        let bucket = try Answers.bucket(row)
        let row = Array(row)
        let numbers = [4, 7, 8, 9, 10].compactMap { row[$0].flatMap { Int64($0) } }
        guard numbers.count == 5, let kind = row[6].flatMap(LedgerEntry.Kind.init), let actor = row[11] else {
            throw .nonsense
        }
        return LedgerEntry(
            sequence: numbers[0], bucket: bucket, reservation: row[5].flatMap { ReservationID($0) }, kind: kind,
            capacityDelta: Int(numbers[1]), heldDelta: Int(numbers[2]), soldDelta: Int(numbers[3]), fence: numbers[4],
            actor: actor, at: try Answers.date(row[12]))
    }

    /// See `ReservationStore.audit(grace:)`.
    public func audit(grace: Duration) async throws(StoreError) -> AuditReport {
        let timeout = configuration.auditTimeout
        let client = client
        let statements = [
            // One snapshot for all of it.
            Statement("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"),
            Statement("SELECT set_config('statement_timeout', $1, true)", [ClientConfiguration.milliseconds(timeout)]),
            Statement(
                "SELECT rule, detail FROM audit($1::bigint * interval '1 microsecond', $2)",
                [Answers.micros(grace), "\(AuditReport.maximumFindings)"]),
            Statement("SELECT (SELECT count(*) FROM bucket), (SELECT count(*) FROM reservation)"),
            Statement("COMMIT"),
        ]
        let results: [Rows]
        do throws(StoreError) {
            results = try await asking { () async throws(DatabaseError) in
                try await client.run(statements, mayCommit: false, timeout: timeout + .seconds(1))
            }
        } catch {
            // Not `busy`, which is asked again: what has taken minutes in vain is not begun anew without being told to.
            throw error.code == .busy ? StoreError(.unavailable, error.message) : error
        }
        guard results.count == statements.count, let buckets = results[3][0, 0].flatMap({ Int($0) }),
            let reservations = results[3][0, 1].flatMap({ Int($0) })
        else { throw .nonsense }
        var findings: [AuditReport.Finding] = []
        for row in 0..<results[2].count {
            guard let rule = results[2][row, 0].flatMap(AuditReport.Finding.Rule.init), let detail = results[2][row, 1]
            else { throw .nonsense }
            findings.append(AuditReport.Finding(rule, detail))
        }
        return AuditReport(findings: findings, buckets: buckets, reservations: reservations)
    }
}
