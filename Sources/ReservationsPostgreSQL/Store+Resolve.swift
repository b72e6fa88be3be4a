import Reservations

extension PostgreSQLReservationStore {
    /// See `ReservationStore.resolve(_:)`.
    public func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        let rows = try await write(
            "SELECT outcome, answer FROM resolve($1, $2, $3, $4, $5, $6, $7, $8, $9)",
            [
                "\(resolution.id)", resolution.holder, resolution.kind.rawValue,
                resolution.replacement.map { "\($0)" }, resolution.actor,
            ] + Self.requestParameters(resolution.request))
        return try Self.outcome(rows)
    }

    /// See `ReservationStore.extend(_:)`.
    public func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        let rows = try await write(
            "SELECT outcome, answer FROM extend($1, $2, $3, $4, $5, $6, $7)",
            ["\(change.id)", change.holder, Answers.micros(change.ttl)] + Self.requestParameters(change.request))
        return try Self.outcome(rows)
    }

    private static func outcome(_ rows: Rows) throws(StoreError) -> ResolutionOutcome {
        guard rows.count == 1, let outcome = rows[0, 0] else { throw .nonsense }
        let answer = rows[0, 1]
        switch outcome {
        case "done": return .done(try Answers.reservation(answer))
        case "repeated": return .repeated(try Answers.reservation(answer))
        case "conflict": return .conflict(try Answers.reservation(answer))
        case "extensionLimit": return .extensionLimit(try Answers.reservation(answer))
        case "short": return .short(try Answers.shortages(answer))
        case "notFound": return .notFound
        default: return .key(try keyProblem(outcome))
        }
    }

    /// See `ReservationStore.expire(_:limit:)`.
    public func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        let arrays = buckets.map { BucketArrays($0).parameters } ?? [nil, nil, nil, nil]
        let rows = try await write("SELECT expire($1, $2, $3, $4, $5)", arrays + [Answers.limit(limit)])
        var ended: [Reservation] = []
        for row in 0..<rows.count { ended.append(try Answers.reservation(rows[row, 0])) }
        return ended
    }

    /// See `ReservationStore.restock(_:)`.
    public func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome {
        let bucket = change.bucket
        let rows = try await write(
            """
            SELECT outcome, committed, capacity, held, sold, version, fence
            FROM restock($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
            """,
            [
                bucket.kind.rawValue, bucket.item, bucket.label, bucket.night, "\(change.delta)",
                "\(bucket.maximumCapacity)", change.actor,
            ] + Self.requestParameters(change.request))
        guard rows.count == 1, let outcome = rows[0, 0] else { throw .nonsense }
        let counts = (2...6).compactMap { rows[0, $0].flatMap { Int64($0) } }
        switch outcome {
        case "done": return .done(try Answers.state(bucket, counts))
        case "replayed": return .replayed(try Answers.state(bucket, counts))
        case "aboveMaximum": return .aboveMaximum
        case "belowCommitments":
            guard let committed = rows[0, 1].flatMap({ Int($0) }) else { throw .nonsense }
            return .belowCommitments(committed: committed)
        default: return .key(try Self.keyProblem(outcome))
        }
    }

    /// See `ReservationStore.forgetRequests(olderThan:limit:)`.
    public func forgetRequests(olderThan age: Duration, limit: Int) async throws(StoreError) -> Int {
        let rows = try await write(
            """
            DELETE FROM request WHERE (caller, key) IN (
                SELECT caller, key FROM request
                WHERE created_at < now() - $1::bigint * interval '1 microsecond' AND state <> 'queued'
                ORDER BY created_at LIMIT $2 FOR UPDATE SKIP LOCKED)
            """, [Answers.micros(age), Answers.limit(limit)])
        return rows.affected
    }
}
