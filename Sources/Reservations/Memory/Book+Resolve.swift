#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Book {
    package mutating func resolve(_ resolution: Resolution, now: Date) throws(StoreError) -> ResolutionOutcome {
        if let outcome = try replayed(resolution.request, now: now) { return outcome }
        guard let found = reservation(resolution.id, holder: resolution.holder, now: now) else { return .notFound }
        switch (resolution.kind, found.state) {
        case (.confirm, .confirmed), (.cancel, .cancelled), (.return, .returned): return .repeated(found)
        case (.confirm, .held): return .done(try end(found, as: .confirmed, resolution, now: now))
        case (.cancel, .held): return .done(try end(found, as: .cancelled, resolution, now: now))
        case (.return, .confirmed): return .done(try end(found, as: .returned, resolution, now: now))
        case (.confirm, .expired):
            guard let id = resolution.replacement else { return .conflict(found) }
            return try replace(found, by: id, resolution, now: now)
        default: return .conflict(found)
        }
    }

    private func replayed(_ request: RequestKey?, now: Date) throws(StoreError) -> ResolutionOutcome? {
        switch replay(of: request) {
        case .isNew: return nil
        case .answer(.reservation(let id)):
            guard let found = reservation(id, holder: nil, now: now) else { throw Self.lost }
            return .repeated(found)
        case .reused, .answer: return .key(.reused)
        case .waiting: return .key(.inProgress)
        }
    }

    private mutating func end(
        _ reservation: Reservation, as state: Reservation.State, _ resolution: Resolution, now: Date
    ) throws(StoreError) -> Reservation {
        let moves = reservation.lines.map { Move(ending: $0, as: state) }
        try apply(moves, of: reservation.id, actor: resolution.actor, now: now)
        let ended = reservation.with(state, at: now)
        write(ended)
        remember(resolution.request, .reservation(reservation.id), now: now)
        return ended
    }

    /// The end of the expired hold, if nobody has written it down yet, a new hold and its confirmation, at once.
    private mutating func replace(
        _ expired: Reservation, by id: ReservationID, _ resolution: Resolution, now: Date
    ) throws(StoreError) -> ResolutionOutcome {
        if let known = reservation(id, holder: expired.holder, now: now) {
            return known.state == .confirmed ? .repeated(known) : .conflict(known)
        }
        if reservations[expired.id]?.state == .held {
            try apply(
                expired.lines.map { Move(ending: $0, as: .expired) }, of: expired.id, actor: Self.sweeper, now: now)
            write(expired)
        }
        let short = shortages(of: expired.lines, holder: expired.holder, now: now)
        guard short.isEmpty else { return .short(short) }
        let holds = expired.lines.map { Move(bucket: $0.bucket, kind: .hold, held: $0.quantity) }
        let confirmations = expired.lines.map { Move(ending: $0, as: .confirmed) }
        try apply(holds + confirmations, of: id, actor: resolution.actor, now: now)
        let confirmed = Reservation(
            id: id, holder: expired.holder, lines: expired.lines, state: .confirmed, expiresAt: now, hardDeadline: now,
            createdAt: now, resolvedAt: now)
        write(confirmed)
        remember(resolution.request, .reservation(id), now: now)
        return .done(confirmed)
    }

    package mutating func extend(_ change: HoldExtension, now: Date) throws(StoreError) -> ResolutionOutcome {
        if let outcome = try replayed(change.request, now: now) { return outcome }
        guard let found = reservation(change.id, holder: change.holder, now: now) else { return .notFound }
        guard found.state == .held else { return .conflict(found) }
        guard found.expiresAt < found.hardDeadline else { return .extensionLimit(found) }
        let extended = found.held(until: max(found.expiresAt, min(now + change.ttl, found.hardDeadline)))
        write(extended)
        remember(change.request, .reservation(change.id), now: now)
        return .done(extended)
    }

    package mutating func expire(_ buckets: [Bucket]?, limit: Int, now: Date) throws(StoreError) -> [Reservation] {
        let wanted = buckets.map(Set.init)
        let due = holds.compactMap { reservations[$0] }
            .filter { $0.expiresAt <= now }
            .filter { hold in wanted.map { wanted in hold.lines.contains { wanted.contains($0.bucket) } } ?? true }
            .sorted { ($0.expiresAt, $0.id.description) < ($1.expiresAt, $1.id.description) }
            .prefix(max(limit, 0))
        var ended: [Reservation] = []
        for hold in due {
            let moves = hold.lines.map { Move(ending: $0, as: .expired) }
            try apply(moves, of: hold.id, actor: Self.sweeper, now: now)
            let expired = hold.seen(at: now)
            write(expired)
            ended.append(expired)
        }
        return ended
    }

    private static let sweeper = "sweeper"
}

extension Book.Move {
    fileprivate init(ending line: Line, as state: Reservation.State) {
        switch state {
        case .confirmed:
            self.init(bucket: line.bucket, kind: .confirm, held: -line.quantity, sold: line.quantity)
        case .cancelled: self.init(bucket: line.bucket, kind: .cancel, held: -line.quantity)
        case .expired, .held: self.init(bucket: line.bucket, kind: .expire, held: -line.quantity)
        case .returned: self.init(bucket: line.bucket, kind: .return, sold: -line.quantity)
        }
    }
}
