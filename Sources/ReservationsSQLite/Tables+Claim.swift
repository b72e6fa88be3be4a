#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import GRDB
import Reservations

/// What a transaction came to, and whether what it wrote is to stay.
struct Verdict<Value: Sendable>: Sendable {
    let value: Value
    let isKept: Bool

    static func keep(_ value: Value) -> Verdict { Verdict(value: value, isKept: true) }
    static func drop(_ value: Value) -> Verdict { Verdict(value: value, isKept: false) }
}

extension Tables {
    func restock(_ change: StockChange) throws -> Verdict<StockOutcome> {
        switch try replay(of: change.request) {
        case .isNew: break
        case .bucket(let id):
            guard let state = try first(SQL.bucketByID, [id], BucketState.init) else { throw Self.lost }
            return .drop(.replayed(state))
        case .reused, .reservation: return .drop(.key(.reused))
        case .waiting: return .drop(.key(.inProgress))
        }
        let before = try row(of: change.bucket)
        let committed = (before?.state.held ?? 0) + (before?.state.sold ?? 0)
        let (capacity, isBeyond) = (before?.state.capacity ?? 0).addingReportingOverflow(change.delta)
        if isBeyond ? change.delta < 0 : capacity < committed { return .drop(.belowCommitments(committed: committed)) }
        if isBeyond || capacity > change.bucket.maximumCapacity { return .drop(.aboveMaximum) }
        let id = try before?.id ?? insert(change.bucket)
        try run(SQL.addCapacity, [change.delta, id])
        try enter(Move(bucket: id, kind: .stock, capacity: change.delta), of: nil, actor: change.actor)
        try remember(change.request, bucket: id)
        guard let after = try row(of: change.bucket) else { throw Self.lost }
        return .keep(.done(after.state))
    }

    private func insert(_ bucket: Bucket) throws -> Int64 {
        try run(SQL.insertBucket, [bucket.item, bucket.kind.rawValue, bucket.label, bucket.night])
        return db.lastInsertedRowID
    }

    /// The connection has the database's only write lock: what is read here is what will be written over.
    func claim(_ claim: Claim, by rule: ClaimRule) throws -> Verdict<ClaimOutcome> {
        if case .fenced(let token) = rule {
            // Before anything is read. A refusal takes it back with the transaction.
            for bucket in claim.cart.buckets {
                try run(
                    SQL.raiseFence, [token, bucket.item, bucket.label, bucket.night, bucket.kind.rawValue, token])
            }
        }
        if let refusal = try refusal(of: claim, by: rule) { return .drop(refusal) }
        let lines = try claim.cart.lines.map { line in
            guard let row = try row(of: line.bucket) else { throw Self.lost }
            return (id: row.id, line: line)
        }
        let reservation = newReservation(of: claim)
        try insert(reservation, lines: lines, as: .held)
        for (id, line) in lines {
            let move = Move(bucket: id, kind: .hold, held: line.quantity)
            try enter(move, of: claim.id, actor: claim.holder, fence: rule.token ?? 0)
            try run(SQL.moveBucket, [line.quantity, 0, id])
        }
        try remember(claim.request, reservation: claim.id)
        return .keep(.held(reservation))
    }

    func newReservation(of claim: Claim) -> Reservation {
        let total = max(0, claim.totalHold.milliseconds)
        let ttl = min(claim.ttl.milliseconds, total)
        return Reservation(
            id: claim.id, holder: claim.holder, lines: claim.cart.lines, state: .held,
            expiresAt: Date(milliseconds: now + ttl), hardDeadline: Date(milliseconds: now + total), createdAt: date,
            resolvedAt: nil)
    }

    /// Why the claim cannot be made, as far as this transaction sees; in the order of the contract. Reads only.
    func refusal(of claim: Claim, by rule: ClaimRule) throws -> ClaimOutcome? {
        switch try replay(of: claim.request) {
        case .isNew: break
        case .waiting: return .key(.inProgress)
        case .reservation(let id):
            guard let found = try reservation(id, holder: nil) else { throw Self.lost }
            return .replayed(found)
        case .reused, .bucket: return .key(.reused)
        }
        if let found = try reservation(claim.id, holder: nil) {
            guard found.belongs(to: claim.holder) else {
                throw StoreError(.refusedByConstraint, "There is a reservation with this id already.")
            }
            return .replayed(found)
        }
        if let limit = claim.maximumLiveHolds {
            let current = try liveHolds(of: claim.holder)
            if current >= limit { return .holdLimit(current: current) }
        }
        let wanted = try claim.cart.lines.map(wanted)
        if let refusal = Self.refusal(of: wanted, by: rule) { return refusal }
        let shortages = try shortages(in: wanted, holder: claim.holder)
        return shortages.isEmpty ? nil : .short(shortages)
    }

    /// A line with the bucket that it is about, if there is one.
    private struct Wanted {
        let line: Line
        let row: BucketRow?

        var isShort: Bool { (row?.state.available ?? -1) < line.quantity }
    }

    private func wanted(_ line: Line) throws -> Wanted {
        Wanted(line: line, row: try row(of: line.bucket))
    }

    private static func refusal(of lines: [Wanted], by rule: ClaimRule) -> ClaimOutcome? {
        switch rule {
        case .atomic, .pessimistic: break
        case .fenced(let token):
            for wanted in lines {
                if let seen = wanted.row?.state.fence, seen > token {
                    return .staleFence(wanted.line.bucket, seen: seen)
                }
            }
        case .optimistic(let versions):
            for wanted in lines where wanted.row?.state.version != versions[wanted.line.bucket] {
                return .versionConflict
            }
        }
        return nil
    }

    func shortages(of lines: [Line], holder: String) throws -> [Shortage] {
        try shortages(in: lines.map(wanted), holder: holder)
    }

    private func shortages(in lines: [Wanted], holder: String) throws -> [Shortage] {
        try lines.filter(\.isShort).map { wanted in
            let holds = try wanted.row.map { try self.holds(on: $0.id, of: holder) }
            return Shortage(
                bucket: wanted.line.bucket, requested: wanted.line.quantity, state: wanted.row?.state,
                heldByHolder: holds?.own ?? 0, heldByOthers: holds?.others ?? 0, nextReleaseAt: holds?.release,
                asOf: date)
        }
    }

    func liveHolds(of holder: String) throws -> Int {
        try first(SQL.liveHolds, [holder, now]) { try $0.decode(Int.self, atIndex: 0) } ?? 0
    }

    func holds(on bucket: Int64, of holder: String) throws -> Holds {
        guard let found = try first(SQL.heldBy, [holder, bucket, now], Holds.init) else { throw Self.lost }
        return found
    }

    /// From the columns of ``SQL/heldBy``.
    struct Holds {
        let own: Int
        let others: Int
        let release: Date?

        fileprivate init(_ row: Row) throws {
            own = try row.decode(atIndex: 0)
            others = try row.decode(atIndex: 1)
            release = try row.optionalDate(2)
        }
    }
}

extension ClaimRule {
    fileprivate var token: Int64? {
        if case .fenced(let token) = self { token } else { nil }
    }
}

extension Duration {
    /// Rounded to the nearest; what is too long for a number, the longest that is not.
    var milliseconds: Int64 {
        let (seconds, attoseconds) = components
        let (whole, isBeyond) = seconds.multipliedReportingOverflow(by: 1_000)
        guard !isBeyond, (-Self.longestMilliseconds...Self.longestMilliseconds).contains(whole) else {
            return seconds < 0 ? -Self.longestMilliseconds : Self.longestMilliseconds
        }
        return whole + (attoseconds + (attoseconds < 0 ? -1 : 1) * 500_000_000_000_000) / 1_000_000_000_000_000
    }

    /// Some 3,000 years, so that sums with a time are no overflow.
    static let longestMilliseconds: Int64 = 100_000_000_000_000
}
