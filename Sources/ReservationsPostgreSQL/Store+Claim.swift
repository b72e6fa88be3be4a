import Reservations

extension PostgreSQLReservationStore {
    /// See `ReservationStore.claim(_:by:)`.
    public func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await attempt(claim, by: rule).outcome
    }

    /// See `ReservationStore.attempt(_:by:)`.
    public func attempt(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimAnswer {
        guard Set(claim.cart.buckets).count == claim.cart.lines.count else {
            throw StoreError(.refusedByConstraint, "A bucket stands twice in a cart.", attempts: 0)
        }
        var locksFirst = false
        for look in 1...Self.looks {
            let rows: Rows
            do throws(DatabaseError) {
                rows = try await client.query(
                    Self.claimStatement, Self.parameters(of: claim, rule, locksFirst: locksFirst))
            } catch {
                // Under the rows' locks the second look cannot be in vain.
                guard error.sqlState == Self.bucketsHaveChanged else {
                    let failure = StoreError(error)
                    throw failure.after(attempts: look - 1 + failure.attempts)
                }
                locksFirst = true
                continue
            }
            guard rows.count == 1, let outcome = rows[0, 0] else { throw .nonsense }
            if outcome == "again" { continue }
            return ClaimAnswer(try Self.outcome(outcome, of: claim, rows), attempts: look)
        }
        throw StoreError(
            .busy, "What the cart needs came and went \(Self.looks) times while it was looked at.", attempts: Self.looks
        )
    }

    /// Raised by the function: the look was favourable and the update was not, because others were faster.
    private static let bucketsHaveChanged = "RS001"

    private static let looks = 5

    private static let claimStatement = """
        SELECT outcome, answer, created, expires, deadline
        FROM claim($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        """

    private static func parameters(of claim: Claim, _ rule: ClaimRule, locksFirst: Bool) -> [String?] {
        let buckets = BucketArrays(claim.cart.buckets)
        var (locksFirst, lockTimeout, token, versions): (Bool, String?, Int64?, String?) = (locksFirst, nil, nil, nil)
        switch rule {
        case .atomic: break
        case .pessimistic(let timeout):
            (locksFirst, lockTimeout) = (true, ClientConfiguration.milliseconds(timeout))
        case .optimistic(let seen): versions = Statement.array(claim.cart.buckets.map { seen[$0] })
        case .fenced(let greatest): token = greatest
        }
        return ["\(claim.id)", claim.holder] + buckets.parameters + [
            Statement.array(claim.cart.lines.map(\.quantity)), Answers.micros(claim.ttl),
            Answers.micros(claim.totalHold),
            claim.maximumLiveHolds.map { "\($0)" }, locksFirst ? "t" : "f", lockTimeout, token.map { "\($0)" },
            versions,
        ] + requestParameters(claim.request)
    }

    private static func outcome(_ outcome: String, of claim: Claim, _ rows: Rows) throws(StoreError) -> ClaimOutcome {
        let answer = rows[0, 1]
        switch outcome {
        case "held":
            return .held(
                Reservation(
                    id: claim.id, holder: claim.holder, lines: claim.cart.lines, state: .held,
                    expiresAt: try Answers.date(rows[0, 3]), hardDeadline: try Answers.date(rows[0, 4]),
                    createdAt: try Answers.date(rows[0, 2]), resolvedAt: nil))
        case "replayed": return .replayed(try Answers.reservation(answer))
        case "short": return .short(try Answers.shortages(answer))
        case "holdLimit":
            guard let current = answer.flatMap({ Int($0) }) else { throw .nonsense }
            return .holdLimit(current: current)
        case "versionConflict": return .versionConflict
        case "staleFence":
            let (bucket, seen) = try Answers.staleFence(answer)
            return .staleFence(bucket, seen: seen)
        default: return .key(try keyProblem(outcome))
        }
    }

    static func keyProblem(_ outcome: String) throws(StoreError) -> KeyProblem {
        switch outcome {
        case "reused": return .reused
        case "inProgress": return .inProgress
        default: throw .nonsense
        }
    }

    static func requestParameters(_ request: RequestKey?) -> [String?] {
        [request?.caller, request?.key, request?.operation, request?.fingerprint]
    }
}

/// Buckets as parameters: one array for each column, in the order of the functions.
struct BucketArrays {
    let parameters: [String?]

    init(_ buckets: [Bucket]) {
        parameters = [
            Statement.array(buckets.map(\.kind.rawValue)), Statement.array(buckets.map(\.item)),
            Statement.array(buckets.map(\.label)), Statement.array(buckets.map(\.night)),
        ]
    }
}
