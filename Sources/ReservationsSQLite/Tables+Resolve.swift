#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import GRDB
import Reservations

extension Tables {
    func resolve(_ resolution: Resolution) throws -> Verdict<ResolutionOutcome> {
        if let outcome = try replayed(resolution.request) { return .drop(outcome) }
        guard let stored = try stored(resolution.id), stored.reservation.belongs(to: resolution.holder) else {
            return .drop(.notFound)
        }
        let found = stored.reservation.seen(at: date)
        switch (resolution.kind, found.state) {
        case (.confirm, .confirmed), (.cancel, .cancelled), (.return, .returned): return .drop(.repeated(found))
        case (.confirm, .held): return try end(stored, as: .confirmed, resolution)
        case (.cancel, .held): return try end(stored, as: .cancelled, resolution)
        case (.return, .confirmed): return try end(stored, as: .returned, resolution)
        case (.confirm, .expired):
            guard let id = resolution.replacement else { return .drop(.conflict(found)) }
            return try replace(stored, by: id, resolution)
        default: return .drop(.conflict(found))
        }
    }

    private func replayed(_ request: RequestKey?) throws -> ResolutionOutcome? {
        switch try replay(of: request) {
        case .isNew: return nil
        case .reservation(let id):
            guard let found = try reservation(id, holder: nil) else { throw Self.lost }
            return .repeated(found)
        case .reused, .bucket: return .key(.reused)
        case .waiting: return .key(.inProgress)
        }
    }

    private func end(
        _ stored: Stored, as state: Reservation.State, _ resolution: Resolution
    ) throws -> Verdict<ResolutionOutcome> {
        try write(end: stored, as: state, at: now, actor: resolution.actor)
        try remember(resolution.request, reservation: resolution.id)
        return .keep(.done(stored.reservation.with(state, at: date)))
    }

    /// The reservation first, then its buckets: it was in the state that was read, or nothing is written at all.
    private func write(end stored: Stored, as state: Reservation.State, at time: Int64, actor: String) throws {
        let reservation = stored.reservation
        let changed = try run(
            SQL.endReservation, [state.rawValue, time, reservation.id.uuid, reservation.state.rawValue])
        guard changed == 1 else { throw Self.lost }
        let lineState: LineState = state == .confirmed ? .sold : .ended
        try run(SQL.endLines, [lineState.rawValue, reservation.id.uuid])
        for (id, line) in stored.ids {
            let move = Move(ending: line, in: id, as: state)
            try enter(move, of: reservation.id, actor: actor)
            try run(SQL.moveBucket, [move.held, move.sold, id])
        }
    }

    /// The end of the expired hold, if nobody has written it down yet, a new hold and its confirmation, at once.
    private func replace(
        _ stored: Stored, by id: ReservationID, _ resolution: Resolution
    ) throws -> Verdict<ResolutionOutcome> {
        let expired = stored.reservation
        if let known = try reservation(id, holder: expired.holder) {
            return .drop(known.state == .confirmed ? .repeated(known) : .conflict(known))
        }
        if expired.state == .held {
            try write(end: stored, as: .expired, at: expired.expiresAt.milliseconds, actor: Self.sweeper)
        }
        let short = try shortages(of: expired.lines, holder: expired.holder)
        guard short.isEmpty else { return .keep(.short(short)) }
        let confirmed = Reservation(
            id: id, holder: expired.holder, lines: expired.lines, state: .confirmed, expiresAt: date,
            hardDeadline: date,
            createdAt: date, resolvedAt: date)
        try insert(confirmed, lines: stored.ids, as: .sold)
        for (bucket, line) in stored.ids {
            try enter(Move(bucket: bucket, kind: .hold, held: line.quantity), of: id, actor: resolution.actor)
        }
        for (bucket, line) in stored.ids {
            try enter(Move(ending: line, in: bucket, as: .confirmed), of: id, actor: resolution.actor)
            try run(SQL.moveBucket, [0, line.quantity, bucket])
        }
        try remember(resolution.request, reservation: id)
        return .keep(.done(confirmed))
    }

    func extend(_ change: HoldExtension) throws -> Verdict<ResolutionOutcome> {
        if let outcome = try replayed(change.request) { return .drop(outcome) }
        guard let found = try reservation(change.id, holder: change.holder) else { return .drop(.notFound) }
        guard found.state == .held else { return .drop(.conflict(found)) }
        guard found.expiresAt < found.hardDeadline else { return .drop(.extensionLimit(found)) }
        let wanted = min(now + change.ttl.milliseconds, found.hardDeadline.milliseconds)
        let until = max(found.expiresAt.milliseconds, wanted)
        guard try run(SQL.extend, [until, change.id.uuid]) == 1 else { throw Self.lost }
        try remember(change.request, reservation: change.id)
        return .keep(.done(found.held(until: Date(milliseconds: until))))
    }

    // MARK: Expiry

    /// Holds whose time is up, the oldest first. Reads only.
    func due(_ buckets: [Bucket]?, limit: Int) throws -> [ReservationID] {
        guard limit > 0 else { return [] }
        guard let buckets else {
            return try all(SQL.due, [now, limit]) { ReservationID(try $0.decode(UUID.self, atIndex: 0)) }
        }
        var times: [ReservationID: Int64] = [:]
        for bucket in Set(buckets) {
            guard let id = try row(of: bucket)?.id else { continue }
            for (hold, time) in try all(
                SQL.dueOfBucket, [id, now, limit],
                { row in (ReservationID(try row.decode(UUID.self, atIndex: 0)), try row.decode(Int64.self, atIndex: 1))
                })
            {
                times[hold] = time
            }
        }
        let sorted = times.sorted { ($0.value, $0.key.description) < ($1.value, $1.key.description) }
        return sorted.prefix(limit).map(\.key)
    }

    func expire(_ buckets: [Bucket]?, limit: Int) throws -> Verdict<[Reservation]> {
        let ended = try due(buckets, limit: limit).map { id in
            guard let stored = try stored(id) else { throw Self.lost }
            try write(end: stored, as: .expired, at: stored.reservation.expiresAt.milliseconds, actor: Self.sweeper)
            return stored.reservation.seen(at: date)
        }
        return .keep(ended)
    }

    func forget(before time: Int64, limit: Int) throws -> Verdict<Int> {
        .keep(try run(SQL.forget, [time, max(limit, 0)]))
    }

    private static let sweeper = "sweeper"
}

extension Tables.Move {
    fileprivate init(ending line: Line, in bucket: Int64, as state: Reservation.State) {
        switch state {
        case .confirmed: self.init(bucket: bucket, kind: .confirm, held: -line.quantity, sold: line.quantity)
        case .cancelled: self.init(bucket: bucket, kind: .cancel, held: -line.quantity)
        case .expired, .held: self.init(bucket: bucket, kind: .expire, held: -line.quantity)
        case .returned: self.init(bucket: bucket, kind: .return, sold: -line.quantity)
        }
    }
}
