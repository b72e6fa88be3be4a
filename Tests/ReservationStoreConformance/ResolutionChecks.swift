import Reservations

extension StoreConformance {
    static var resolutions: [ConformanceCheck] {
        [
            ConformanceCheck(
                "A confirmation sells, a repeated one answers the same, a return gives back", confirmAndReturn),
            ConformanceCheck("A cancellation frees, and forbids what comes after", cancelling),
            ConformanceCheck("Somebody else's reservation is not there", ownership),
            ConformanceCheck("A hold whose time is up is over, seen by the sweeper or not", overdue),
            ConformanceCheck("Confirm, cancel and expire at once: one of them", racingEnds),
            ConformanceCheck("An extension goes up to the hard deadline, and never back", extending),
        ]
    }

    private static func confirmAndReturn(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 3)
        let seat = try await rig.stock(.seat("hall", "1"), 1)
        let held = try await rig.hold([Line(a, quantity: 2), Line(seat)])
        let confirmed = try await rig.resolve(.confirm, held.id).expectDone()
        try same(confirmed.state, .confirmed, "State")
        try check(confirmed.resolvedAt != nil, "The time of the confirmation is missing.")
        try await rig.expect(a, held: 0, sold: 2)
        try await rig.expect(seat, held: 0, sold: 1)
        try same(try await rig.resolve(.confirm, held.id).expectRepeated(), confirmed, "Repeated")
        try await rig.resolve(.cancel, held.id).expectConflict(.confirmed)
        try await rig.store.extend(HoldExtension(id: held.id, holder: "ann", ttl: .seconds(60))).expectConflict(
            .confirmed)
        let returned = try await rig.resolve(.return, held.id).expectDone()
        try same(returned.state, .returned, "State")
        try same(try await rig.resolve(.return, held.id).expectRepeated(), returned, "Repeated return")
        try await rig.resolve(.confirm, held.id).expectConflict(.returned)
        try await rig.expect(a, held: 0)
        try await rig.expect(seat, held: 0)
        let kinds = try await rig.store.ledger(ofItem: "a", after: 0, limit: 10).map(\.kind)
        try same(kinds, [.stock, .hold, .confirm, .return], "Ledger")
        try await rig.hold([Line(seat)], by: "bob")
    }

    private static func cancelling(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 2)
        let seat = try await rig.stock(.seat("hall", "1"), 1)
        let held = try await rig.hold([Line(a, quantity: 2), Line(seat)])
        try await rig.resolve(.return, held.id).expectConflict(.held)
        let cancelled = try await rig.resolve(.cancel, held.id).expectDone()
        try same(cancelled.state, .cancelled, "State")
        try same(try await rig.resolve(.cancel, held.id).expectRepeated(), cancelled, "Repeated")
        try await rig.resolve(.confirm, held.id).expectConflict(.cancelled)
        try await rig.resolve(.confirm, held.id, replacement: .make()).expectConflict(.cancelled)
        try await rig.expect(a, held: 0)
        try await rig.hold([Line(a, quantity: 2), Line(seat)], by: "bob")
    }

    private static func ownership(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 2)
        let held = try await rig.hold([Line(a)])
        for kind in [Resolution.Kind.confirm, .cancel, .return] {
            try same(try await rig.resolve(kind, held.id, by: "bob"), .notFound, "\(kind) by another")
            try same(try await rig.resolve(kind, .make()), .notFound, "\(kind) of nothing")
        }
        let change = HoldExtension(id: held.id, holder: "bob", ttl: .seconds(60))
        try same(try await rig.store.extend(change), .notFound, "An extension by another")
        try same(try await rig.store.reservation(held.id, holder: "bob"), nil, "Another's look")
        try same(try await rig.store.reservation(held.id, holder: nil), held, "An operator's look")
        _ = try await rig.resolve(.cancel, held.id, by: nil).expectDone()
        try await rig.expect(a, held: 0)
    }

    private static func overdue(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 2)
        let held = try await rig.hold([Line(a, quantity: 2)])
        try await rig.harness.age(held.id, by: .seconds(700))
        for isSwept in [false, true] {
            let seen = try await rig.store.reservation(held.id, holder: "ann")
            try same(seen?.state, .expired, "State")
            try check(seen?.resolvedAt != nil, "The time of the end is missing.")
            try await rig.resolve(.confirm, held.id).expectConflict(.expired)
            try await rig.resolve(.cancel, held.id).expectConflict(.expired)
            try await rig.store.extend(HoldExtension(id: held.id, holder: "ann", ttl: .seconds(60)))
                .expectConflict(.expired)
            guard !isSwept else { break }
            try await rig.expect(a, held: 2)
            try same(try await rig.store.expire(nil, limit: 10).map(\.id), [held.id], "Expired")
            try await rig.expect(a, held: 0)
        }
        let last = try await rig.store.ledger(ofItem: "a", after: 0, limit: 10).last
        try same(last?.kind, .expire, "The last of the ledger")
        try same(last?.actor, "sweeper", "Its actor")
    }

    private static func racingEnds(_ rig: Rig) async throws {
        for round in 0..<8 {
            let a = try await rig.stock(.counted("a \(round)"), 2)
            let held = try await rig.hold([Line(a, quantity: 2)])
            let outcomes = try await together(12) { index in
                if index % 3 == 2, round % 2 == 0 { try await rig.harness.age(held.id, by: .seconds(700)) }
                return switch index % 3 {
                case 0: try await rig.resolve(.confirm, held.id)
                case 1: try await rig.resolve(.cancel, held.id)
                default:
                    ResolutionOutcome.repeated(try await rig.store.expire([a], limit: 5).first ?? held)
                }
            }
            let done = outcomes.count { if case .done = $0 { true } else { false } }
            let expired = outcomes.count { $0.reservation?.state == .expired && $0.isRepeated }
            // A sweep passes over what somebody else is looking at.
            let left = try await rig.store.expire([a], limit: 5).count
            try same(done + expired + left, 1, "Ends in round \(round)")
            let state = try await rig.state(of: a)
            try check(state.held == 0 && [0, 2].contains(state.sold), "Held \(state.held), sold \(state.sold).")
        }
    }

    private static func extending(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 2)
        let claim = rig.claim([Line(a)], ttl: .seconds(60), total: .seconds(600))
        let held = try await rig.store.claim(claim, by: .atomic).expectHeld()
        let extend = { (seconds: Int, key: RequestKey?) in
            try await rig.store.extend(HoldExtension(id: held.id, holder: "ann", ttl: .seconds(seconds), request: key))
        }
        let longer = try await extend(300, nil).expectDone()
        try same(longer.expiresAt.timeIntervalSince(held.createdAt) >= 300, true, "Longer")
        try check(longer.expiresAt < held.hardDeadline, "Too long.")
        try same(try await extend(100, nil).expectDone().expiresAt, longer.expiresAt, "Not shorter")
        let key = RequestKey(caller: "ann", key: "more", operation: "extend", fingerprint: "e")
        try same(try await extend(5_000, key).expectDone().expiresAt, held.hardDeadline, "Up to the deadline")
        try same(try await extend(5_000, key).expectRepeated().expiresAt, held.hardDeadline, "Repeated with its key")
        guard case .extensionLimit(let limited) = try await extend(10, nil) else {
            throw ContractViolation("An extension beyond the hard deadline was not refused.")
        }
        try same(limited.expiresAt, held.hardDeadline, "At the limit")
        try await rig.expect(a, held: 1)
    }
}

extension ResolutionOutcome {
    fileprivate var reservation: Reservation? {
        switch self {
        case .done(let reservation), .repeated(let reservation), .conflict(let reservation): reservation
        default: nil
        }
    }

    fileprivate var isRepeated: Bool {
        if case .repeated = self { true } else { false }
    }
}
