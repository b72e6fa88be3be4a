import Reservations

extension StoreConformance {
    static var lateConfirmations: [ConformanceCheck] {
        [
            ConformanceCheck("A late confirmation takes the units again, once") { rig in
                for isSwept in [false, true] { try await lateOnce(rig, isSwept: isSwept) }
            },
            ConformanceCheck("A late confirmation finds the units gone") { rig in
                for isSwept in [false, true] { try await lateInVain(rig, isSwept: isSwept) }
            },
            ConformanceCheck("Late confirmations at once sell once", lateTogether),
        ]
    }

    private static func expired(_ rig: Rig, _ lines: [Line], isSwept: Bool) async throws -> Reservation {
        let held = try await rig.hold(lines)
        try await rig.harness.age(held.id, by: .seconds(700))
        if isSwept { try same(try await rig.store.expire(nil, limit: 10).map(\.id), [held.id], "Swept") }
        return held
    }

    private static func lateOnce(_ rig: Rig, isSwept: Bool) async throws {
        let a = try await rig.stock(.counted("a \(isSwept)"), 2)
        let seat = try await rig.stock(.seat("hall \(isSwept)", "1"), 1)
        let old = try await expired(rig, [Line(a, quantity: 2), Line(seat)], isSwept: isSwept)
        let id = ReservationID.make()
        let new = try await rig.resolve(.confirm, old.id, replacement: id).expectDone()
        try same(new.id, id, "Id")
        try same(new.state, .confirmed, "State")
        try same(new.lines, old.lines, "Lines")
        try same(new.holder, old.holder, "Holder")
        try same(try await rig.resolve(.confirm, old.id, replacement: id).expectRepeated(), new, "Repeated")
        try same(try await rig.store.reservation(old.id, holder: nil)?.state, .expired, "The old one")
        try await rig.expect(a, held: 0, sold: 2)
        try await rig.expect(seat, held: 0, sold: 1)
        let kinds = try await rig.store.ledger(ofItem: a.item, after: 0, limit: 10).map(\.kind)
        try same(kinds, [.stock, .hold, .expire, .hold, .confirm], "Ledger")
        _ = try await rig.resolve(.return, id).expectDone()
        try await rig.resolve(.confirm, old.id, replacement: id).expectConflict(.returned)
        try await rig.expect(a, held: 0)
    }

    private static func lateInVain(_ rig: Rig, isSwept: Bool) async throws {
        let a = try await rig.stock(.counted("a \(isSwept)"), 3)
        let old = try await expired(rig, [Line(a, quantity: 2)], isSwept: isSwept)
        _ = try await rig.store.expire([a], limit: 10)
        try await rig.hold([Line(a, quantity: 2)], by: "bob")
        guard case .short(let shortages) = try await rig.resolve(.confirm, old.id, replacement: .make()) else {
            throw ContractViolation("A late confirmation took what bob holds.")
        }
        try same(shortages.map(\.heldByOthers), [2], "Held by others")
        try same(shortages.map(\.heldByHolder), [0], "Held by the holder")
        try same(try await rig.store.reservation(old.id, holder: nil)?.state, .expired, "The old one")
        try await rig.expect(a, held: 2)
    }

    private static func lateTogether(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 20)
        let old = try await expired(rig, [Line(a, quantity: 2)], isSwept: false)
        let id = ReservationID.make()
        let outcomes = try await together(8) { _ in try await rig.resolve(.confirm, old.id, replacement: id) }
        for outcome in outcomes {
            switch outcome {
            case .done(let new), .repeated(let new): try same(new.id, id, "Id")
            default: throw ContractViolation("A late confirmation came to \(outcome).")
            }
        }
        try await rig.expect(a, held: 0, sold: 2)
    }
}
