import Reservations

extension StoreConformance {
    /// What comes from outside: names that look alike, numbers without measure.
    static var outsiders: [ConformanceCheck] {
        [
            ConformanceCheck("Two spellings of one letter are two items and two holders", spellings),
            ConformanceCheck("Two spellings of one letter are two callers, and two of their keys", spelledKeys),
            ConformanceCheck("Extreme numbers are answered or refused", extremeNumbers),
            ConformanceCheck("Extreme times are answered or refused", extremeTimes),
        ]
    }

    /// Equal to Swift's `String`, not to a database.
    private static let (composed, decomposed) = ("caf\u{E9}", "cafe\u{301}")

    private static func spellings(_ rig: Rig) async throws {
        let one = try await rig.stock(.seat(composed, composed), 1)
        let other = try await rig.stock(.seat(decomposed, decomposed), 1)
        try same(try await rig.store.states(ofItem: composed, after: nil, limit: 9).map(\.bucket), [one], "Of one item")
        try same(try await rig.store.states(ofItem: composed, after: one, limit: 9), [], "After the last")
        try same(try await rig.store.neighbours(of: one, limit: 9), [], "Neighbours")
        try same(try await rig.store.ledger(ofItem: decomposed, after: 0, limit: 9).map(\.bucket), [other], "Ledger")
        let held = try await rig.hold([Line(one), Line(other)], by: composed)
        try same(held.lines.count, 2, "Lines")
        try same(try await rig.store.reservation(held.id, holder: decomposed), nil, "For another holder")
        for kind in [Resolution.Kind.confirm, .cancel, .return] {
            try same(try await rig.resolve(kind, held.id, by: decomposed), .notFound, "\(kind) by another holder")
        }
        let longer = HoldExtension(id: held.id, holder: decomposed, ttl: .seconds(900))
        try same(try await rig.store.extend(longer), .notFound, "Extended by another holder")
        let short = try await rig.store.claim(rig.claim([Line(one)], by: decomposed), by: .atomic).expectShort()
        try same(short.map(\.heldByHolder), [0], "His own")
        try same(short.map(\.heldByOthers), [1], "Others'")
        let a = try await rig.stock(.counted("a"), 9)
        _ = try await rig.store.claim(rig.claim([Line(a)], by: decomposed, limit: 1), by: .atomic).expectHeld()
        do throws(StoreError) {
            _ = try await rig.store.claim(rig.claim([Line(a)], by: decomposed, id: held.id), by: .atomic)
            throw StoreError(.failed, "It was shown the other's reservation.")
        } catch {
            try same(error.code, .refusedByConstraint, "A claim with the other's id")
        }
        _ = try await rig.resolve(.cancel, held.id, by: composed).expectDone()
    }

    private static func spelledKeys(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 9)
        let callers = [(composed, composed), (composed, decomposed), (decomposed, composed)]
        var ids: Set<ReservationID> = []
        for (caller, name) in callers {
            let claim = rig.claim([Line(a)], key: key(name, "reserve", by: caller))
            ids.insert(try await rig.store.claim(claim, by: .atomic).expectHeld().id)
        }
        try same(ids.count, callers.count, "Reservations")
        let again = rig.claim([Line(a)], key: key(composed, "reserve", composed, by: decomposed))
        try same(try await rig.store.claim(again, by: .atomic), .key(.reused), "Another fingerprint")
        let print = { rig.claim([Line(a)], key: key("print", "reserve", $0)) }
        _ = try await rig.store.claim(print(composed), by: .atomic).expectHeld()
        try same(
            try await rig.store.claim(print(decomposed), by: .atomic), .key(.reused), "A fingerprint spelled otherwise")
    }

    private static func extremeNumbers(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 5)
        let b = Bucket.counted("b")
        for (bucket, committed) in [(a, 0), (b, 0)] {
            let least = StockChange(bucket: bucket, delta: .min, actor: "stock")
            try same(try await rig.store.restock(least), .belowCommitments(committed: committed), "The least")
            let most = StockChange(bucket: bucket, delta: .max, actor: "stock")
            try same(try await rig.store.restock(most), .aboveMaximum, "The most")
        }
        for limit in [Int.min, -1, 0] {
            try same(try await rig.store.states(ofItem: "a", after: nil, limit: limit), [], "States")
            try same(try await rig.store.states(ofItem: "a", after: b, limit: limit), [], "States after")
            try same(try await rig.store.neighbours(of: a, limit: limit), [], "Neighbours")
            try same(try await rig.store.ledger(ofItem: nil, after: 0, limit: limit), [], "Ledger")
            try same(try await rig.store.expire(nil, limit: limit), [], "Expired")
            try same(try await rig.store.expire([a], limit: limit), [], "Expired of one")
            try same(try await rig.store.forgetRequests(olderThan: .zero, limit: limit), 0, "Forgotten")
        }
        try same(try await rig.store.states(ofItem: "a", after: nil, limit: .max).map(\.bucket), [a], "All states")
        try same(try await rig.store.ledger(ofItem: nil, after: .min, limit: .max).count, 1, "The whole ledger")
        try same(try await rig.store.ledger(ofItem: nil, after: .max, limit: .max), [], "After its end")
        try same(try await rig.store.expire(nil, limit: .max), [], "All that are due")
        _ = try await rig.store.claim(rig.claim([Line(a, quantity: .max)]), by: .atomic).expectShort()
        for quantity in [0, -1] {
            do throws(StoreError) {
                _ = try await rig.store.claim(rig.claim([Line(a, quantity: quantity)]), by: .atomic)
                throw StoreError(.failed, "\(quantity) were held.")
            } catch {
                try same(error.code, .refusedByConstraint, "A quantity of \(quantity)")
            }
        }
        let versions = try await rig.store.claim(rig.claim([Line(a)]), by: .optimistic(versions: [a: .min]))
        try same(versions, .versionConflict, "A version that never was")
        _ = try await rig.store.claim(rig.claim([Line(a)]), by: .fenced(token: .max)).expectHeld()
        let stale = try await rig.store.claim(rig.claim([Line(a)]), by: .fenced(token: .min))
        try same(stale, .staleFence(a, seen: .max), "The least token after the greatest")
        try await rig.expect(a, held: 1)
    }

    private static func extremeTimes(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 5)
        let (longest, shortest) = (Duration.seconds(Int64.max), Duration.seconds(Int64.min))
        let held = try await rig.hold([Line(a)])
        let extended = try await rig.store.extend(HoldExtension(id: held.id, holder: "ann", ttl: longest)).expectDone()
        try same(extended.expiresAt, held.hardDeadline, "Extended")
        guard
            case .extensionLimit = try await rig.store.extend(HoldExtension(id: held.id, holder: "ann", ttl: shortest))
        else { throw ContractViolation("A hold was extended beyond its hard deadline.") }
        let patient = ClaimRule.pessimistic(lockTimeout: longest)
        let lasting = rig.claim([Line(a)], by: "bob", ttl: longest, total: longest)
        let hold = try await rig.store.claim(lasting, by: patient).expectHeld()
        try check(hold.expiresAt > held.hardDeadline, "A long hold ends early.")
        // Nobody else is there: no patience is needed.
        let hasty = rig.claim([Line(a)], by: "eve")
        _ = try await rig.store.claim(hasty, by: .pessimistic(lockTimeout: shortest)).expectHeld()
        try same(try await rig.store.audit(grace: longest).isClean, true, "With the greatest grace")
        _ = try await rig.store.audit(grace: shortest)
        try same(try await rig.store.forgetRequests(olderThan: longest, limit: 9), 0, "Forgotten, the oldest")
        try same(try await rig.store.forgetRequests(olderThan: shortest, limit: 9), 1, "Forgotten, all")
        try await rig.expect(a, held: 3)
    }
}
