#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The tables of the in-memory store, and its rules as plain functions: every store does the same in its own language.
///
/// A function that returns an outcome or throws without having written has changed nothing: each decides first, then writes.
/// The tables can be written to from outside as one may write to a database by hand: tests break the rules that way.
package struct Book: Sendable {
    /// One bucket.
    package struct Row: Sendable {
        package var capacity = 0
        package var held = 0
        package var sold = 0
        package var version: Int64 = 0
        package var fence: Int64 = 0
    }

    /// Whose key, and which: by bytes.
    package struct Caller: Hashable, Sendable {
        let caller: [UInt8]
        let key: [UInt8]

        package init(_ request: RequestKey) {
            (caller, key) = (Array(request.caller.utf8), Array(request.key.utf8))
        }
    }

    /// A request with an effect.
    package struct Request: Sendable {
        package enum Answer: Sendable, Hashable {
            case reservation(ReservationID)
            case bucket(Bucket)
        }

        package let key: RequestKey
        package let answer: Answer
        package let at: Date

        package init(key: RequestKey, answer: Answer, at: Date) {
            (self.key, self.answer, self.at) = (key, answer, at)
        }
    }

    package var rows: [Bucket: Row] = [:]
    /// As written: a hold whose time is up may still be `held`.
    package var reservations: [ReservationID: Reservation] = [:]
    /// Those that are `held`.
    package var holds: Set<ReservationID> = []
    package var requests: [Caller: Request] = [:]
    package var ledger: [LedgerEntry] = []
    package var lines = Lines()

    package init() {}

    // MARK: Reading

    package func state(of bucket: Bucket) -> BucketState? {
        rows[bucket].map {
            BucketState(
                bucket: bucket, capacity: $0.capacity, held: $0.held, sold: $0.sold, version: $0.version,
                fence: $0.fence)
        }
    }

    func states(where isWanted: (Bucket) -> Bool) -> [BucketState] {
        rows.keys.filter(isWanted).sorted().compactMap(state)
    }

    func neighbours(of bucket: Bucket, limit: Int) -> [BucketState] {
        let all = states { $0.item.hasSameBytes(as: bucket.item) && $0.kind == bucket.kind && $0 != bucket }
        let before = all.prefix { $0.bucket < bucket }
        let limit = max(limit, 0)
        return before.suffix(limit) + all.dropFirst(before.count).prefix(limit)
    }

    func reservation(_ id: ReservationID, holder: String?, now: Date) -> Reservation? {
        guard let found = reservations[id], found.belongs(to: holder) else { return nil }
        return found.seen(at: now)
    }

    /// Holds that still count.
    func liveHolds(now: Date) -> [Reservation] {
        holds.compactMap { reservations[$0] }.filter { $0.expiresAt > now }
    }

    // MARK: Writing

    /// What one transaction does to one bucket: one entry of the ledger.
    struct Move {
        let bucket: Bucket
        let kind: LedgerEntry.Kind
        var capacity = 0
        var held = 0
        var sold = 0
    }

    /// Writes all moves, or throws and writes none: what the constraints of a schema do.
    mutating func apply(
        _ moves: [Move], of reservation: ReservationID?, actor: String, fence: Int64? = nil, now: Date
    ) throws(StoreError) {
        var changed: [Bucket: Row] = [:]
        for move in moves {
            var row = changed[move.bucket] ?? rows[move.bucket] ?? Row()
            row.capacity += move.capacity
            row.held += move.held
            row.sold += move.sold
            row.version += 1
            row.fence = max(row.fence, fence ?? 0)
            changed[move.bucket] = row
        }
        for (bucket, row) in changed {
            guard row.held >= 0, row.sold >= 0, row.held + row.sold <= row.capacity,
                row.capacity <= bucket.maximumCapacity
            else { throw StoreError(.refusedByConstraint, "The change would have oversold \(bucket).") }
        }
        rows.merge(changed) { _, new in new }
        for move in moves { enter(move, of: reservation, actor: actor, fence: fence ?? 0, now: now) }
    }

    private mutating func enter(_ move: Move, of id: ReservationID?, actor: String, fence: Int64, now: Date) {
        ledger.append(
            LedgerEntry(
                sequence: (ledger.last?.sequence ?? 0) + 1, bucket: move.bucket, reservation: id, kind: move.kind,
                capacityDelta: move.capacity, heldDelta: move.held, soldDelta: move.sold, fence: fence, actor: actor,
                at: now))
    }

    mutating func write(_ reservation: Reservation) {
        reservations[reservation.id] = reservation
        if reservation.state == .held { holds.insert(reservation.id) } else { holds.remove(reservation.id) }
    }

    // MARK: Idempotency

    enum Replay {
        case isNew
        case reused
        /// It is in a line.
        case waiting
        case answer(Request.Answer)
    }

    func replay(of request: RequestKey?) -> Replay {
        guard let request else { return .isNew }
        if let entry = lines.entries[request.name] {
            guard entry.claim.request?.isSameRequest(as: request) == true else { return .reused }
            if entry.state == .waiting { return .waiting }
        }
        guard let known = requests[Caller(request)] else { return .isNew }
        return known.key.isSameRequest(as: request) ? .answer(known.answer) : .reused
    }

    package mutating func remember(_ request: RequestKey?, _ answer: Request.Answer, now: Date) {
        guard let request else { return }
        requests[Caller(request)] = Request(key: request, answer: answer, at: now)
    }

    mutating func forgetRequests(olderThan limit: Date, count: Int) -> Int {
        let old = requests.filter { $0.value.at < limit }.sorted { $0.value.at < $1.value.at }.prefix(max(count, 0))
        for (caller, _) in old { requests[caller] = nil }
        let past = lines.entries.filter { $0.value.state != .waiting && $0.value.since < limit }
        for (name, entry) in past where entry.claim.request.map({ requests[Caller($0)] == nil }) ?? true {
            lines.set(nil, for: name)
        }
        return old.count
    }
}

extension Date {
    static func + (date: Date, duration: Duration) -> Date {
        date.addingTimeInterval(duration / .seconds(1))
    }
}
