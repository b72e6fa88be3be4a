#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Book {
    package mutating func restock(_ change: StockChange, now: Date) throws(StoreError) -> StockOutcome {
        switch replay(of: change.request) {
        case .isNew: break
        case .answer(.bucket(let bucket)):
            guard let state = state(of: bucket) else { throw Self.lost }
            return .replayed(state)
        case .reused, .answer: return .key(.reused)
        case .waiting: return .key(.inProgress)
        }
        let row = rows[change.bucket] ?? Row()
        let committed = row.held + row.sold
        let (capacity, isBeyond) = row.capacity.addingReportingOverflow(change.delta)
        if isBeyond ? change.delta < 0 : capacity < committed { return .belowCommitments(committed: committed) }
        if isBeyond || capacity > change.bucket.maximumCapacity { return .aboveMaximum }
        let move = Move(bucket: change.bucket, kind: .stock, capacity: change.delta)
        try apply([move], of: nil, actor: change.actor, now: now)
        remember(change.request, .bucket(change.bucket), now: now)
        guard let state = state(of: change.bucket) else { throw Self.lost }
        return .done(state)
    }

    /// - Parameter takesTurn: whether the claim comes from its line, and not past it.
    package mutating func claim(
        _ claim: Claim, by rule: ClaimRule, now: Date, takesTurn: Bool = false
    ) throws(StoreError) -> ClaimOutcome {
        if let refusal = try refusal(of: claim, by: rule, now: now, takesTurn: takesTurn) { return refusal }
        let reservation = Reservation(
            id: claim.id, holder: claim.holder, lines: claim.cart.lines, state: .held,
            expiresAt: now + min(claim.ttl, claim.totalHold), hardDeadline: now + claim.totalHold, createdAt: now,
            resolvedAt: nil)
        let moves = claim.cart.lines.map { Move(bucket: $0.bucket, kind: .hold, held: $0.quantity) }
        try apply(moves, of: claim.id, actor: claim.holder, fence: rule.token, now: now)
        write(reservation)
        remember(claim.request, .reservation(claim.id), now: now)
        return .held(reservation)
    }

    /// In the order that the contract names.
    private func refusal(
        of claim: Claim, by rule: ClaimRule, now: Date, takesTurn: Bool
    ) throws(StoreError) -> ClaimOutcome? {
        switch replay(of: claim.request) {
        case .isNew: break
        case .waiting: if !takesTurn { return .key(.inProgress) }
        case .answer(.reservation(let id)):
            guard let found = reservation(id, holder: nil, now: now) else { throw Self.lost }
            return .replayed(found)
        case .reused, .answer: return .key(.reused)
        }
        if let found = reservations[claim.id] {
            guard found.belongs(to: claim.holder) else {
                throw StoreError(.refusedByConstraint, "There is a reservation with this id already.")
            }
            return .replayed(found.seen(at: now))
        }
        guard Set(claim.cart.buckets).count == claim.cart.lines.count else {
            throw StoreError(.refusedByConstraint, "A bucket stands twice in a cart.")
        }
        guard claim.cart.lines.allSatisfy({ $0.quantity > 0 }) else {
            throw StoreError(.refusedByConstraint, "A line of a cart has no quantity.")
        }
        if let limit = claim.maximumLiveHolds {
            let current = liveHolds(now: now).count { $0.belongs(to: claim.holder) }
            if current >= limit { return .holdLimit(current: current) }
        }
        if let refusal = refusal(of: claim.cart.buckets, by: rule) { return refusal }
        let shortages = shortages(of: claim.cart.lines, holder: claim.holder, now: now)
        return shortages.isEmpty ? nil : .short(shortages)
    }

    private func refusal(of buckets: [Bucket], by rule: ClaimRule) -> ClaimOutcome? {
        switch rule {
        case .atomic, .pessimistic: return nil
        case .fenced(let token):
            for bucket in buckets {
                if let seen = rows[bucket]?.fence, seen > token { return .staleFence(bucket, seen: seen) }
            }
        case .optimistic(let versions):
            for bucket in buckets where rows[bucket]?.version != versions[bucket] { return .versionConflict }
        }
        return nil
    }

    func shortages(of lines: [Line], holder: String, now: Date) -> [Shortage] {
        let short = lines.filter { (state(of: $0.bucket)?.available ?? -1) < $0.quantity }
        guard !short.isEmpty else { return [] }
        let live = liveHolds(now: now)
        return short.map { line in
            let there = live.filter { $0.lines.contains { $0.bucket == line.bucket } }
            let own = there.filter { $0.belongs(to: holder) }
            let others = there.filter { !$0.belongs(to: holder) }
            return Shortage(
                bucket: line.bucket, requested: line.quantity, state: state(of: line.bucket),
                heldByHolder: Self.quantity(of: line.bucket, in: own),
                heldByOthers: Self.quantity(of: line.bucket, in: others),
                nextReleaseAt: others.map(\.expiresAt).min(), asOf: now)
        }
    }

    private static func quantity(of bucket: Bucket, in reservations: [Reservation]) -> Int {
        reservations.flatMap(\.lines).filter { $0.bucket == bucket }.reduce(0) { $0 + $1.quantity }
    }

    static var lost: StoreError { StoreError(.failed, "A stored answer names something that is not there.") }
}

extension ClaimRule {
    fileprivate var token: Int64? {
        if case .fenced(let token) = self { token } else { nil }
    }
}
