import GRDB
import Reservations

/// What a batch comes to, turn by turn. Each bucket is read once and written once, for all of them; so what the transaction
/// finds in the table is without what this batch has given.
struct BatchDecision {
    private let tables: Tables
    private let isFinal: Bool
    /// As the batch leaves them so far; `nil` where there is none.
    private var buckets: [Bucket: Tables.BucketRow?] = [:]
    private var given: [Int64: Int] = [:]
    /// What is held on a bucket, for those who hold nothing anywhere: the same for all of them.
    private var foreign: [Bucket: Tables.Holds] = [:]
    /// Where it is known whether holds are in the way whose time is up, and where they are.
    private var looked: Set<Bucket> = []
    private(set) var overdue: Set<Bucket> = []

    init(tables: Tables, isFinal: Bool) {
        self.tables = tables
        self.isFinal = isFinal
    }

    mutating func decide(_ turn: QueueBatch.Turn, _ entry: Tables.Queued) throws -> BatchOutcome.Verdict {
        switch turn.treatment {
        case .skip:
            try tables.end(turn.request, as: .skipped)
            return .init(turn.request, .skipped)
        case .fail:
            try tables.end(turn.request, as: .failed)
            return .init(turn.request, .failed)
        case .decide: break
        }
        let claim = try StoredClaim(text: entry.claim ?? "").claim(of: entry.key)
        if let known = try tables.reservation(claim.id, holder: nil) {
            guard known.belongs(to: claim.holder) else {
                throw StoreError(.refusedByConstraint, "There is a reservation with this id already.")
            }
            return try end(turn.request, held: known)
        }
        if let refusal = try refusal(of: claim) {
            guard let stored = StoredRefusal(refusal) else { throw Tables.lost }
            // The batch is given up, and decided anew.
            guard overdue.isEmpty else { return .init(turn.request, .refused) }
            try tables.end(
                turn.request, as: refusal.mayPass ? .refused : .done, answer: StoreError.encode(stored))
            return .init(turn.request, .refused, .refused(refusal))
        }
        return try end(turn.request, held: hold(claim))
    }

    /// Writes the buckets.
    func finish() throws {
        for (id, quantity) in given.sorted(by: { $0.key < $1.key }) {
            try tables.run(SQL.moveBucket, [quantity, 0, id])
        }
    }

    private func end(_ name: RequestName, held reservation: Reservation) throws -> BatchOutcome.Verdict {
        try tables.run(SQL.endHeld, [reservation.id.uuid, name.caller, name.key])
        return .init(name, .held, .held(.init(reservation)))
    }

    private mutating func hold(_ claim: Claim) throws -> Reservation {
        let reservation = tables.newReservation(of: claim)
        var lines: [(id: Int64, line: Line)] = []
        for line in claim.cart.lines {
            guard let row = try row(of: line.bucket) else { throw Tables.lost }
            lines.append((id: row.id, line: line))
            buckets[line.bucket] = Tables.BucketRow(id: row.id, state: row.state.holding(line.quantity))
            given[row.id, default: 0] += line.quantity
            foreign[line.bucket] = nil
        }
        try tables.insert(reservation, lines: lines, as: .held)
        for (id, line) in lines {
            let move = Tables.Move(bucket: id, kind: .hold, held: line.quantity)
            try tables.enter(move, of: claim.id, actor: claim.holder)
        }
        return reservation
    }

    private mutating func row(of bucket: Bucket) throws -> Tables.BucketRow? {
        if let known = buckets[bucket] { return known }
        let row = try tables.row(of: bucket)
        buckets[bucket] = .some(row)
        return row
    }

    // MARK: Refusals

    private mutating func refusal(of claim: Claim) throws -> ClaimOutcome? {
        if let limit = claim.maximumLiveHolds {
            let current = try tables.liveHolds(of: claim.holder)
            if current >= limit { return .holdLimit(current: current) }
        }
        var shortages: [Shortage] = []
        for line in claim.cart.lines {
            let row = try row(of: line.bucket)
            guard (row?.state.available ?? -1) < line.quantity else { continue }
            let holds = try row.map { try self.holds(on: $0, of: claim.holder) }
            shortages.append(
                Shortage(
                    bucket: line.bucket, requested: line.quantity, state: row?.state, heldByHolder: holds?.own ?? 0,
                    heldByOthers: holds?.others ?? 0, nextReleaseAt: holds?.release, asOf: tables.date))
            if let row, !isFinal, looked.insert(line.bucket).inserted, try tables.isHeldOverdue(row.id) {
                overdue.insert(line.bucket)
            }
        }
        return shortages.isEmpty ? nil : .short(shortages)
    }

    private mutating func holds(on row: Tables.BucketRow, of holder: String) throws -> Tables.Holds {
        guard try tables.liveHolds(of: holder) == 0 else { return try tables.holds(on: row.id, of: holder) }
        let bucket = row.state.bucket
        if let known = foreign[bucket] { return known }
        let found = try tables.holds(on: row.id, of: holder)
        foreign[bucket] = found
        return found
    }
}

extension BucketState {
    fileprivate func holding(_ quantity: Int) -> BucketState {
        BucketState(
            bucket: bucket, capacity: capacity, held: held + quantity, sold: sold, version: version, fence: fence)
    }
}
