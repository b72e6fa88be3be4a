import Reservations

extension StoreConformance {
    static var idempotency: [ConformanceCheck] {
        [
            ConformanceCheck("Keys of confirmations, cancellations and returns", resolutionKeys),
            ConformanceCheck("A late confirmation's key answers the new reservation", lateKey),
            ConformanceCheck("A key of a refused request may be used again", refusedKeys),
            ConformanceCheck("Restocking twice with one key adds once", restockKeys),
            ConformanceCheck("An effect whose answer was lost is found by its key, from another process", lostAnswer),
            ConformanceCheck("Forgotten keys are new again", forgetting),
        ]
    }

    static func key(_ key: String, _ operation: String, _ print: String = "p", by caller: String = "ann") -> RequestKey
    {
        RequestKey(caller: caller, key: key, operation: operation, fingerprint: print)
    }

    private static func resolutionKeys(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 9)
        let held = try await rig.hold([Line(a)])
        let other = try await rig.hold([Line(a)])
        let confirmed = try await rig.resolve(.confirm, held.id, key: key("pay", "confirm")).expectDone()
        let again = try await rig.resolve(.confirm, held.id, key: key("pay", "confirm")).expectRepeated()
        try same(again, confirmed, "Repeated")
        let reused = try await rig.resolve(.confirm, other.id, key: key("pay", "confirm", "another"))
        try same(reused, .key(.reused), "With another fingerprint")
        try same(
            try await rig.resolve(.cancel, other.id, key: key("pay", "cancel")), .key(.reused), "Another operation")
        _ = try await rig.resolve(.return, held.id, key: key("back", "return")).expectDone()
        // What the key did was to confirm; what it answers is how the reservation stands.
        let later = try await rig.resolve(.confirm, held.id, key: key("pay", "confirm")).expectRepeated()
        try same(later.id, held.id, "The key's reservation")
        try same(later.state, .returned, "Its state")
        try await rig.expect(a, held: 1)
    }

    private static func lateKey(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 9)
        let held = try await rig.hold([Line(a)])
        try await rig.harness.age(held.id, by: .seconds(700))
        let id = ReservationID.make()
        let new = try await rig.resolve(.confirm, held.id, replacement: id, key: key("pay", "confirm")).expectDone()
        let again = try await rig.resolve(.confirm, held.id, replacement: id, key: key("pay", "confirm"))
        try same(try again.expectRepeated(), new, "Repeated")
        try await rig.expect(a, held: 0, sold: 1)
    }

    private static func refusedKeys(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 1)
        let held = try await rig.hold([Line(a)])
        let click = key("click", "reserve")
        let claim = rig.claim([Line(a)], by: "bob", key: key("click", "reserve", by: "bob"))
        _ = try await rig.store.claim(claim, by: .atomic).expectShort()
        try await rig.resolve(.return, held.id, key: click).expectConflict(.held)
        try same(try await rig.resolve(.cancel, .make(), key: click), .notFound, "Nothing there")
        _ = try await rig.resolve(.cancel, held.id, key: click).expectDone()
        _ = try await rig.store.claim(claim, by: .atomic).expectHeld()
    }

    private static func restockKeys(_ rig: Rig) async throws {
        let bucket = Bucket.counted("a")
        let change = StockChange(bucket: bucket, delta: 5, actor: "stock", request: key("add", "restock"))
        let outcomes = try await together(8) { _ in try await rig.store.restock(change) }
        try same(outcomes.count { if case .done = $0 { true } else { false } }, 1, "Done")
        try same(try await rig.state(of: bucket).capacity, 5, "Capacity")
        let other = StockChange(bucket: bucket, delta: 6, actor: "stock", request: key("add", "restock", "6"))
        try same(try await rig.store.restock(other), .key(.reused), "With another fingerprint")
    }

    private static func lostAnswer(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 9)
        let breaks = Tally()
        let flaky = FlakyStore(rig.store) { breaks.add() == 1 ? .answerLost : nil }
        let claim = { rig.claim([Line(a)], key: key("click", "reserve")) }
        do throws(StoreError) {
            _ = try await flaky.claim(claim(), by: .atomic)
            throw StoreError(.failed, "Nothing broke.")
        } catch {
            try same(error.effect, .unknown, "Effect")
        }
        _ = try await flaky.claim(claim(), by: .atomic).expectReplayed()
        try await rig.expect(a, held: 1)
    }

    private static func forgetting(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 9)
        let claim = { rig.claim([Line(a)], key: key("click", "reserve")) }
        _ = try await rig.store.claim(claim(), by: .atomic).expectHeld()
        try same(try await rig.store.forgetRequests(olderThan: .seconds(3_600), limit: 10), 0, "Forgotten young ones")
        // Moves the store's clock past them, where it counts in milliseconds.
        var forgotten = 0
        for _ in 0..<10_000 where forgotten < 2 {
            forgotten += try await rig.store.forgetRequests(olderThan: .zero, limit: 1)
        }
        try same(forgotten, 2, "Forgotten: the stocking and the claim")
        _ = try await rig.store.claim(claim(), by: .atomic).expectHeld()
        try await rig.expect(a, held: 2)
    }
}
