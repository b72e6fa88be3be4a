import Reservations

extension PostgreSQLReservationStore: QueueingReservationStore {
    /// See `QueueingReservationStore.preparePartitions(_:)`.
    public func preparePartitions(_ count: Int) async throws(StoreError) -> [Int64] {
        let rows = try await write("SELECT unnest(prepare_partitions($1))", ["\(count)"])
        guard rows.count == count else { throw .otherPartitions(there: rows.count, wanted: count) }
        var served: [Int64] = []
        for row in 0..<rows.count { served.append(try Self.number(rows[row, 0])) }
        return served
    }

    /// See `QueueingReservationStore.enqueue(_:in:limits:)`.
    public func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        guard !claims.isEmpty else { return [] }
        var requests: [RequestKey] = []
        var bodies: [String] = []
        for claim in claims {
            guard let request = claim.request else { throw .keyless }
            requests.append(request)
            bodies.append(QueuedClaim(claim).json)
        }
        let rows = try await write(
            "SELECT outcome, line_number, stored, reservation FROM enqueue($1, $2, $3, $4, $5, $6, $7, $8)",
            [
                "\(partition)", Statement.array(requests.map(\.caller)), Statement.array(requests.map(\.key)),
                Statement.array(requests.map(\.operation)), Statement.array(requests.map(\.fingerprint)),
                Statement.array(bodies), "\(limits.waiting)", "\(limits.perCaller)",
            ])
        guard rows.count == claims.count else { throw .nonsense }
        var outcomes: [IntakeOutcome] = []
        for row in 0..<rows.count { outcomes.append(try Self.intake(rows[row])) }
        return outcomes
    }

    private static func intake(_ row: ArraySlice<String?>) throws(StoreError) -> IntakeOutcome {
        let row = Array(row)
        switch row[0] {
        case "waiting": return .waiting(number: try number(row[1]))
        case "decided": return .decided(try decided(row[2], row[3]))
        case "full": return .full(waiting: Int(clamping: try number(row[1])))
        case "callerLimit": return .callerLimit(current: Int(clamping: try number(row[1])))
        case let problem?: return .key(try keyProblem(problem))
        case nil: throw .nonsense
        }
    }

    /// See `QueueingReservationStore.takePartition(_:token:)`.
    public func takePartition(_ partition: Int, token: Int64) async throws(StoreError) -> TakeoverOutcome {
        let rows = try await write(
            "SELECT outcome, v_token, v_position, v_served FROM take_partition($1, $2)", ["\(partition)", "\(token)"])
        guard rows.count == 1 else { throw .nonsense }
        switch rows[0, 0] {
        case "taken":
            guard let position = rows[0, 2].flatMap(QueuePosition.init) else { throw .nonsense }
            return .taken(position: position, served: try Self.number(rows[0, 3]))
        case "staleFence": return .staleFence(seen: try Self.number(rows[0, 1]))
        default: throw .unknownPartition(partition)
        }
    }

    /// See `QueueingReservationStore.rewind(_:token:)`.
    public func rewind(_ partition: Int, token: Int64) async throws(StoreError) -> Bool {
        let rows = try await write(
            "UPDATE queue_partition SET position = $3 WHERE partition = $1 AND token = $2",
            ["\(partition)", "\(token)", "\(QueuePosition.start)"])
        return rows.affected == 1
    }

    /// See `QueueingReservationStore.decide(_:)`.
    public func decide(_ batch: QueueBatch) async throws(StoreError) -> BatchOutcome {
        let requests = batch.turns.map(\.request)
        let rows = try await write(
            """
            SELECT word, served_through, answer, place, reservation, created, expires, deadline
            FROM decide($1, $2, $3, $4, $5, $6, $7, $8)
            """,
            [
                "\(batch.partition)", "\(batch.token)", "\(batch.from)", "\(batch.through)",
                Statement.array(requests.map(\.caller)), Statement.array(requests.map(\.key)),
                Statement.array(batch.turns.map { Self.word($0.treatment) }), batch.isFinal ? "t" : "f",
            ])
        switch rows[0, 0] {
        case "decided": return .decided(served: try Self.number(rows[0, 1]), try Self.verdicts(rows, of: requests))
        case "overdue": return .overdue(try Answers.buckets(rows[0, 2]))
        case "superseded": return .superseded
        default: throw .nonsense
        }
    }

    private static func word(_ treatment: QueueBatch.Treatment) -> String {
        switch treatment {
        case .decide: "decide"
        case .skip: "skip"
        case .fail: "fail"
        }
    }

    /// All rows but the first.
    private static func verdicts(
        _ rows: Rows, of requests: [RequestName]
    ) throws(StoreError) -> [BatchOutcome.Verdict] {
        var verdicts: [BatchOutcome.Verdict] = []
        verdicts.reserveCapacity(rows.count)
        // When it is sold out, many are told the same.
        var refusals: [String: ClaimOutcome] = [:]
        for row in 1..<max(rows.count, 1) {
            let place = Int(clamping: try number(rows[row, 3]))
            guard requests.indices.contains(place), let kind = rows[row, 0].flatMap(BatchOutcome.Verdict.Kind.init)
            else { throw .nonsense }
            verdicts.append(.init(requests[place], kind, try answer(kind, rows[row], &refusals)))
        }
        return verdicts
    }

    private static func answer(
        _ kind: BatchOutcome.Verdict.Kind, _ row: ArraySlice<String?>, _ refusals: inout [String: ClaimOutcome]
    ) throws(StoreError) -> BatchOutcome.Answer? {
        let row = Array(row)
        switch kind {
        case .skipped, .failed: return nil
        case .held:
            guard let id = row[4].flatMap(ReservationID.init) else { throw .nonsense }
            return .held(
                .init(
                    id: id, createdAt: try Answers.date(row[5]), expiresAt: try Answers.date(row[6]),
                    hardDeadline: try Answers.date(row[7])))
        case .refused:
            guard let text = row[2] else { throw .nonsense }
            if let known = refusals[text] { return .refused(known) }
            let outcome = try decided(text, nil)
            refusals[text] = outcome
            return .refused(outcome)
        }
    }

    /// See `QueueingReservationStore.waiting(in:after:through:longerThan:limit:)`.
    public func waiting(
        in partition: Int, after number: Int64, through last: Int64, longerThan age: Duration, limit: Int
    ) async throws(StoreError) -> [WaitingRequest] {
        let rows = try await read(
            """
            SELECT caller, key, number FROM request
            WHERE state = 'queued' AND partition = $1 AND number > $2 AND number <= $3
                AND queued_at <= now() - $4::bigint * interval '1 microsecond'
            ORDER BY number LIMIT $5
            """, ["\(partition)", "\(number)", "\(last)", Answers.micros(age), Answers.limit(limit)])
        var waiting: [WaitingRequest] = []
        for row in 0..<rows.count {
            guard let caller = rows[row, 0], let key = rows[row, 1] else { throw .nonsense }
            let name = RequestName(caller: caller, key: key)
            waiting.append(WaitingRequest(name: name, number: try Self.number(rows[row, 2])))
        }
        return waiting
    }

    /// See `QueueingReservationStore.withdraw(_:)`.
    public func withdraw(_ request: RequestName) async throws(StoreError) -> QueuedRequest? {
        _ = try await write("SELECT withdraw($1, $2)", [request.caller, request.key])
        return try await requests([request])[0]
    }

    /// See `QueueingReservationStore.lag()`.
    public func lag() async throws(StoreError) -> [LineLag] {
        let rows = try await read("SELECT waiting, CASE WHEN waiting > 0 THEN oldest END FROM line_lags()", [])
        var lags: [LineLag] = []
        for row in 0..<rows.count {
            let oldest = rows[row, 1].flatMap { Int64($0) }.map { Duration.microseconds($0) }
            lags.append(LineLag(waiting: Int(clamping: try Self.number(rows[row, 0])), oldest: oldest))
        }
        return lags
    }

    /// See `QueueingReservationStore.requests(_:)`.
    public func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?] {
        let rows = try await read(
            "SELECT place, state, partition, number, stored, reservation FROM queued_requests($1, $2)",
            [Statement.array(names.map(\.caller)), Statement.array(names.map(\.key))])
        var requests: [QueuedRequest?] = Array(repeating: nil, count: names.count)
        for row in 0..<rows.count {
            let place = Int(clamping: try Self.number(rows[row, 0]) - 1)
            guard requests.indices.contains(place) else { throw .nonsense }
            requests[place] = try Self.request(Array(rows[row]))
        }
        return requests
    }

    private static func request(_ row: [String?]) throws(StoreError) -> QueuedRequest {
        let state: QueuedRequest.State
        switch row[1] {
        case "queued": state = .waiting
        case "done", "refused": state = .decided(try decided(row[4], row[5]))
        case "withdrawn": state = .withdrawn
        case "skipped": state = .skipped
        case "failed": state = .failed
        default: throw .nonsense
        }
        return QueuedRequest(
            partition: Int(clamping: try number(row[2])), number: try number(row[3]), state: state)
    }

    // MARK: Words

    private static func decided(_ stored: String?, _ reservation: String?) throws(StoreError) -> ClaimOutcome {
        if let reservation { return .replayed(try Answers.reservation(reservation)) }
        let refusal = try Answers.decode(RefusalAnswer.self, stored)
        switch refusal.outcome {
        case "short": return .short(try Answers.shortages(refusal.answer))
        case "holdLimit": return .holdLimit(current: Int(clamping: try number(refusal.answer)))
        default: throw .nonsense
        }
    }

    private static func number(_ text: String?) throws(StoreError) -> Int64 {
        guard let number = text.flatMap({ Int64($0) }) else { throw .nonsense }
        return number
    }

    private struct RefusalAnswer: Decodable {
        let outcome: String
        let answer: String
    }
}

/// A claim as it waits in the table: JSON, written by hand, for every request is.
struct QueuedClaim {
    let json: String

    init(_ claim: Claim) {
        var text = "{\"id\":\"\(claim.id)\",\"ttl\":\(Answers.micros(claim.ttl))"
        text += ",\"total\":\(Answers.micros(claim.totalHold))"
        if let limit = claim.maximumLiveHolds { text += ",\"limit\":\(limit)" }
        text += ",\"lines\":["
        for (index, line) in claim.cart.lines.enumerated() {
            text += index == 0 ? "{\"kind\":\"" : ",{\"kind\":\""
            text += line.bucket.kind.rawValue
            for (name, value) in [
                ("item", line.bucket.item), ("label", line.bucket.label), ("night", line.bucket.night),
            ] {
                text += "\",\"\(name)\":\""
                Self.append(value, to: &text)
            }
            text += "\",\"quantity\":\(line.quantity)}"
        }
        json = text + "]}"
    }

    private static func append(_ value: String, to text: inout String) {
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"", "\\":
                text.unicodeScalars.append("\\")
                text.unicodeScalars.append(scalar)
            case _ where scalar.value < 0x20:
                let digits = String(scalar.value, radix: 16)
                text += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
            default: text.unicodeScalars.append(scalar)
            }
        }
    }
}
