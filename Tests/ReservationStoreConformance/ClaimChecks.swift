import Reservations

extension StoreConformance {
    static func claimChecks(_ mode: ClaimMode) -> [ConformanceCheck] {
        let named = { (name: String, body: @escaping @Sendable (Rig) async throws -> Void) in
            ConformanceCheck("\(mode.rawValue): \(name)", body)
        }
        return [
            named("a claim holds all its lines") { try await claimHoldsAllLines($0, mode) },
            named("a claim that is short holds nothing, and names all that is short") {
                try await claimIsAllOrNothing($0, mode)
            },
            named("a shortage tells own holds from those of others") { try await shortageTellsWhose($0, mode) },
            named("a claim with an id that is there finds it") { try await claimIsRepeatable($0, mode) },
            named("a repeated key is answered with its reservation") { try await claimKeys($0, mode) },
            named("a holder has no more live holds than allowed") { try await holdLimit($0, mode) },
            named("32 claims on 10 units: exactly 10") { try await exactlyCapacity($0, mode) },
            named("carts that cross each other never stop each other") { try await crossingCarts($0, mode) },
            named("16 claims with one key: one reservation") { try await concurrentDuplicates($0, mode) },
            named("a holder's simultaneous claims keep the limit") { try await concurrentHoldLimit($0, mode) },
        ]
    }

    private static func claimHoldsAllLines(_ rig: Rig, _ mode: ClaimMode) async throws {
        let shirt = try await rig.stock(.counted("shirt"), 10)
        let seat = try await rig.stock(.seat("it's \"a\" café 좌석; --", "A 1"), 1)
        let night = try await rig.stock(.night("room", "2028-02-29"), 3)
        let lines = [Line(night, quantity: 2), Line(seat), Line(shirt, quantity: 4)]
        let claim = rig.claim(lines, ttl: .seconds(90), total: .seconds(500))
        let before = try await rig.store.states(of: claim.cart.buckets)
        let held = try await mode.claim(claim, in: rig.store).expectHeld()
        try same(held.id, claim.id, "Id")
        try same(held.holder, "ann", "Holder")
        try same(held.lines, claim.cart.lines, "Lines")
        try same(held.state, .held, "State")
        try same((held.expiresAt.timeIntervalSince(held.createdAt)).rounded(), 90, "Time to live")
        try same((held.hardDeadline.timeIntervalSince(held.createdAt)).rounded(), 500, "Hard deadline")
        try same(held.resolvedAt, nil, "Resolution")
        try same(try await rig.store.reservation(claim.id, holder: "ann"), held, "What was written")
        try await rig.expect(shirt, held: 4)
        try await rig.expect(seat, held: 1)
        try await rig.expect(night, held: 2)
        let after = try await rig.store.states(of: claim.cart.buckets)
        try check(zip(before, after).allSatisfy { $0.version < $1.version }, "A version did not rise.")
    }

    private static func claimIsAllOrNothing(_ rig: Rig, _ mode: ClaimMode) async throws {
        let plenty = try await rig.stock(.counted("a"), 10)
        let few = try await rig.stock(.counted("b"), 1)
        let none = try await rig.stock(.counted("c"), 0)
        let unknown = Bucket.counted("d")
        let lines = [plenty, few, none].map { Line($0, quantity: 2) }
        let shortages = try await mode.claim(rig.claim(lines), in: rig.store).expectShort()
        try same(shortages.map(\.bucket), [few, none], "Short buckets")
        try same(shortages.map(\.requested), [2, 2], "Requested")
        try same(shortages.map { $0.state?.available }, [1, 0], "Available")
        let withUnknown = try await mode.claim(rig.claim(lines + [Line(unknown)]), in: rig.store).expectShort()
        try check(
            withUnknown.contains { $0.bucket == unknown && $0.state == nil }, "A bucket that is not there is not told.")
        try await rig.expect(plenty, held: 0)
        try await rig.expect(few, held: 0)
        let entries = try await rig.store.ledger(ofItem: nil, after: 0, limit: 100)
        try check(entries.allSatisfy { $0.kind == .stock }, "The ledger has a hold that was refused.")
    }

    private static func shortageTellsWhose(_ rig: Rig, _ mode: ClaimMode) async throws {
        let bucket = try await rig.stock(.counted("a"), 10)
        try await rig.hold([Line(bucket, quantity: 2)], by: "ann")
        let first = try await rig.hold([Line(bucket, quantity: 3)], by: "bob", ttl: .seconds(50))
        try await rig.hold([Line(bucket, quantity: 1)], by: "cid", ttl: .seconds(500))
        let overdue = try await rig.hold([Line(bucket, quantity: 1)], by: "dan")
        try await rig.harness.age(overdue.id, by: .seconds(700))
        let claim = rig.claim([Line(bucket, quantity: 6)], by: "ann")
        let shortages = try await mode.claim(claim, in: rig.store).expectShort()
        guard let shortage = shortages.first else { throw ContractViolation("Nothing is short.") }
        try same(shortage.heldByHolder, 2, "Own holds")
        try same(shortage.heldByOthers, 4, "Holds of others")
        try same(shortage.nextReleaseAt, first.expiresAt, "Next release")
        try check(shortage.asOf < first.expiresAt && shortage.asOf >= first.createdAt, "The store's time is wrong.")
    }

    private static func claimIsRepeatable(_ rig: Rig, _ mode: ClaimMode) async throws {
        let bucket = try await rig.stock(.counted("a"), 5)
        let claim = rig.claim([Line(bucket, quantity: 2)], limit: 1)
        let first = try await mode.claim(claim, in: rig.store).expectHeld()
        try same(try await mode.claim(claim, in: rig.store).expectReplayed(), first, "The repeated claim")
        try await rig.expect(bucket, held: 2)
    }

    private static func claimKeys(_ rig: Rig, _ mode: ClaimMode) async throws {
        let bucket = try await rig.stock(.counted("a"), 5)
        let key = { (caller: String, operation: String, print: String) in
            RequestKey(caller: caller, key: "click", operation: operation, fingerprint: print)
        }
        let tooMany = rig.claim([Line(bucket, quantity: 6)], key: key("ann", "reserve", "6"))
        _ = try await mode.claim(tooMany, in: rig.store).expectShort()
        let claim = rig.claim([Line(bucket)], key: key("ann", "reserve", "1"))
        let first = try await mode.claim(claim, in: rig.store).expectHeld()
        let again = rig.claim([Line(bucket)], key: key("ann", "reserve", "1"))
        try same(try await mode.claim(again, in: rig.store).expectReplayed(), first, "The replay")
        for other in [key("ann", "reserve", "2"), key("ann", "confirm", "1")] {
            let outcome = try await mode.claim(rig.claim([Line(bucket)], key: other), in: rig.store)
            try same(outcome, .key(.reused), "A reused key")
        }
        let bob = rig.claim([Line(bucket)], by: "bob", key: key("bob", "reserve", "2"))
        _ = try await mode.claim(bob, in: rig.store).expectHeld()
        try await rig.expect(bucket, held: 2)
        _ = try await rig.resolve(.cancel, first.id).expectDone()
        let late = try await mode.claim(again, in: rig.store).expectReplayed()
        try same(late.id, first.id, "The replay after the cancellation")
        try same(late.state, .cancelled, "Its state")
    }

    private static func holdLimit(_ rig: Rig, _ mode: ClaimMode) async throws {
        let bucket = try await rig.stock(.counted("a"), 9)
        let next = { rig.claim([Line(bucket)], limit: 2) }
        let first = try await mode.claim(next(), in: rig.store).expectHeld()
        let second = try await mode.claim(next(), in: rig.store).expectHeld()
        try same(try await mode.claim(next(), in: rig.store), .holdLimit(current: 2), "The third")
        _ = try await mode.claim(rig.claim([Line(bucket)], by: "bob", limit: 2), in: rig.store).expectHeld()
        _ = try await rig.resolve(.confirm, first.id).expectDone()
        _ = try await mode.claim(next(), in: rig.store).expectHeld()
        try await rig.harness.age(second.id, by: .seconds(700))
        _ = try await mode.claim(next(), in: rig.store).expectHeld()
        try same(try await mode.claim(next(), in: rig.store), .holdLimit(current: 2), "One too many")
    }
}
