import Reservations

extension StoreConformance {
    static func exactlyCapacity(_ rig: Rig, _ mode: ClaimMode) async throws {
        let bucket = try await rig.stock(.counted("a"), 10)
        let outcomes = try await together(32) { index in
            try await mode.claim(rig.claim([Line(bucket)], by: "buyer \(index)"), in: rig.store)
        }
        try same(outcomes.count { $0.held != nil }, 10, "Granted")
        for outcome in outcomes where outcome.held == nil { _ = try outcome.expectShort() }
        try await rig.expect(bucket, held: 10)
    }

    static func crossingCarts(_ rig: Rig, _ mode: ClaimMode) async throws {
        var buckets: [Bucket] = []
        for name in ["a", "b", "c", "d"] { buckets.append(try await rig.stock(.counted(name), 24)) }
        let all = buckets
        let outcomes = try await together(24) { index in
            let turned = all[(index % 4)...] + all[..<(index % 4)]
            let lines = (index % 2 == 0 ? Array(turned) : turned.reversed()).map { Line($0) }
            return try await mode.claim(rig.claim(lines, by: "buyer \(index)"), in: rig.store)
        }
        let granted = outcomes.compactMap(\.held)
        try same(granted.count, 24, "Granted")
        // Ends that cross claims and each other.
        _ = try await together(24) { index in
            _ = try await rig.resolve(
                index % 2 == 0 ? .confirm : .cancel, granted[index].id, by: granted[index].holder
            ).expectDone()
        }
        for bucket in buckets { try await rig.expect(bucket, held: 0, sold: 12) }
    }

    static func concurrentDuplicates(_ rig: Rig, _ mode: ClaimMode) async throws {
        let bucket = try await rig.stock(.counted("a"), 40)
        let key = RequestKey(caller: "ann", key: "click", operation: "reserve", fingerprint: "1")
        let outcomes = try await together(16) { _ in
            try await mode.claim(rig.claim([Line(bucket)], key: key), in: rig.store)
        }
        try same(outcomes.count { $0.held != nil }, 1, "Granted")
        for outcome in outcomes where outcome.held == nil && outcome != .key(.inProgress) {
            try same(try outcome.expectReplayed().id, outcomes.compactMap(\.held).first?.id, "Replayed")
        }
        try await rig.expect(bucket, held: 1)
    }

    static func concurrentHoldLimit(_ rig: Rig, _ mode: ClaimMode) async throws {
        var buckets: [Bucket] = []
        for index in 0..<12 { buckets.append(try await rig.stock(.counted("item \(index)"), 5)) }
        let all = buckets
        let outcomes = try await together(12) { index in
            try await mode.claim(rig.claim([Line(all[index])], limit: 3), in: rig.store)
        }
        try same(outcomes.count { $0.held != nil }, 3, "Granted")
        try same(outcomes.count { $0 == .holdLimit(current: 3) }, 9, "Refused")
    }

    /// What is special about rules with a version or a token, and all of them at once.
    static var rules: [ConformanceCheck] {
        [
            ConformanceCheck("An old version is refused, and changes nothing", oldVersions),
            ConformanceCheck("A stale token is refused, and changes nothing", staleTokens),
            ConformanceCheck("Every rule is safe with every other at the same time", mixedRules),
            ConformanceCheck("A bucket that stands twice in a cart oversells nothing", twiceInACart),
        ]
    }

    private static func oldVersions(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 5)
        let b = try await rig.stock(.counted("b"), 5)
        let old = try await ClaimMode.optimistic.rule(for: [a, b], in: rig.store)
        try await rig.hold([Line(b)])
        let claim = rig.claim([Line(a), Line(b)])
        try same(try await rig.store.claim(claim, by: old), .versionConflict, "With old versions")
        try same(try await rig.store.claim(claim, by: .optimistic(versions: [:])), .versionConflict, "Without versions")
        try await rig.expect(a, held: 0)
        try await rig.expect(b, held: 1)
    }

    private static func staleTokens(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 5)
        let b = try await rig.stock(.counted("b"), 5)
        let claim = { (lines: [Line], token: Int64) in
            try await rig.store.claim(rig.claim(lines), by: .fenced(token: token))
        }
        _ = try await claim([Line(b)], 7).expectHeld()
        try same(try await claim([Line(a), Line(b)], 6), .staleFence(b, seen: 7), "An older token")
        try await rig.expect(a, held: 0)
        try await rig.expect(b, held: 1)
        _ = try await claim([Line(a), Line(b)], 7).expectHeld()
        // A claim that is refused for another reason leaves no mark.
        _ = try await claim([Line(a), Line(b, quantity: 5)], 9).expectShort()
        _ = try await claim([Line(a), Line(b)], 8).expectHeld()
        try same(try await [rig.state(of: a).fence, rig.state(of: b).fence], [8, 8], "Fences")
        // Without a token the row's fence is not asked, and not lowered.
        try await rig.hold([Line(a)])
        try same(try await rig.state(of: a).fence, 8, "The fence after a claim without a token")
        let entries = try await rig.store.ledger(ofItem: "b", after: 0, limit: 100).filter { $0.kind == .hold }
        try same(entries.map(\.fence), [7, 7, 8], "Fences in the ledger")
    }

    private static func mixedRules(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 15)
        let b = try await rig.stock(.counted("b"), 15)
        let outcomes = try await together(32) { index in
            let mode = ClaimMode.allCases[index % 4]
            return try await mode.claim(rig.claim([Line(a), Line(b)], by: "buyer \(index)"), in: rig.store)
        }
        try same(outcomes.count { $0.held != nil }, 15, "Granted")
        try await rig.expect(a, held: 15)
        try await rig.expect(b, held: 15)
    }

    private static func twiceInACart(_ rig: Rig) async throws {
        let bucket = try await rig.stock(.counted("a"), 5)
        for mode in ClaimMode.allCases {
            let rule = try await mode.rule(for: [bucket], in: rig.store)
            let outcome: ClaimOutcome
            do throws(StoreError) {
                let claim = rig.claim([Line(bucket, quantity: 3), Line(bucket, quantity: 3)])
                outcome = try await rig.store.claim(claim, by: rule)
            } catch {
                try same(error.code, .refusedByConstraint, "The store's error")
                continue
            }
            _ = try outcome.expectShort()
        }
        try await rig.expect(bucket, held: 0)
    }
}
