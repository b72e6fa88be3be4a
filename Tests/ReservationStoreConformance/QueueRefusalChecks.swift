import Reservations

extension StoreConformance {
    static var refusalChecks: [ConformanceCheck] {
        [
            queueCheck("A refusal has the numbers of its turn", refusalNumbers),
            queueCheck(
                "What may become free is asked for again with the same key; what is gone is not", passingRefusals),
            queueCheck("What nobody has stocked is refused, also beside others", unknownBuckets),
            queueCheck("A holder's limit counts what the same batch has given him", batchHoldLimit),
            queueCheck("Holds whose time is up are not in the way", overdueHolds),
            queueCheck("Names of all kinds come through the line unharmed", queuedNames),
        ]
    }

    private static func refusal(_ q: QueueChecker, _ caller: String) async throws -> Shortage {
        guard case .decided(.short(let shortages))? = try await q.state(caller), let first = shortages.first else {
            throw ContractViolation("\(caller) was not told what is short.")
        }
        return first
    }

    private static func refusalNumbers(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 5)
        try await q.rig.hold([Line(a)], by: "zoe")
        let claims = [
            q.claim([Line(a, quantity: 2)], by: "ann"), q.claim([Line(a, quantity: 3)], by: "bob"),
            q.claim([Line(a)], by: "cid"), q.claim([Line(a, quantity: 2)], by: "ann", key: "second"),
        ]
        try same(try await q.run(claims), [.held, .refused, .held, .refused], "The verdicts")
        let bob = try await refusal(q, "bob")
        try same([bob.requested, bob.state?.available, bob.heldByOthers, bob.heldByHolder], [3, 2, 3, 0], "Bob's")
        try same(bob.state?.capacity, 5, "The capacity that Bob is told")
        try check(bob.nextReleaseAt != nil, "Nobody is told when the first hold ends.")
        guard case .decided(.short(let shortages))? = try await q.state("ann", key: "second"), let ann = shortages.first
        else { throw ContractViolation("Ann was not refused.") }
        try same([ann.requested, ann.state?.available, ann.heldByOthers, ann.heldByHolder], [2, 1, 2, 2], "Ann's")
    }

    private static func passingRefusals(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 1)
        let claims = [q.claim([Line(a)], by: "ann"), q.claim([Line(a)], by: "bob")]
        try same(try await q.run(claims), [.held, .refused], "The verdicts")
        // Ann may give it back: Bob may ask again, and waits.
        guard case .waiting? = try await q.enqueue([claims[1]]).first else {
            throw ContractViolation("Who may yet be served cannot ask again.")
        }
        _ = try await q.rig.resolve(.confirm, claims[0].id, by: "ann").expectDone()
        try same(try await q.decide([claims[1]]), [.refused], "When it is sold")
        // Now it is gone for good.
        guard case .decided(.short(let shortages))? = try await q.enqueue([claims[1]]).first else {
            throw ContractViolation("What is gone for good is asked again.")
        }
        try same(shortages.first?.heldByOthers, 0, "Held by others")
    }

    private static func unknownBuckets(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 5)
        let claims = [
            q.claim([Line(.counted("nothing"))], by: "ann"), q.claim([Line(a), Line(.counted("nothing"))], by: "bob"),
            q.claim([Line(a)], by: "cid"),
        ]
        try same(try await q.run(claims), [.refused, .refused, .held], "The verdicts")
        try check(try await refusal(q, "ann").state == nil, "A bucket that is not there has a state.")
        try same(try await refusal(q, "bob").bucket, .counted("nothing"), "What Bob misses")
        try await q.rig.expect(a, held: 1)
    }

    private static func batchHoldLimit(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 9)
        try await q.rig.hold([Line(a)], by: "ann")
        let claims = (1...3).map { q.claim([Line(a)], by: "ann", key: "\($0)", limit: 2) }
        let other = q.claim([Line(a)], by: "bob", limit: 2)
        try same(try await q.run(claims + [other]), [.held, .refused, .refused, .held], "The verdicts")
        try same(try await q.state("ann", key: "2"), .decided(.holdLimit(current: 2)), "Ann's second")
        try await q.rig.expect(a, held: 3)
    }

    private static func overdueHolds(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 1)
        let b = try await q.rig.stock(.counted("b"), 5)
        let old = try await q.rig.hold([Line(a)], by: "zoe")
        try await q.rig.harness.age(old.id, by: .seconds(700))
        let claims = [q.claim([Line(b)], by: "ann"), q.claim([Line(a)], by: "bob")]
        _ = try await q.enqueue(claims)
        let turns = claims.compactMap(\.request?.name).map { QueueBatch.Turn($0) }
        let first = try await q.store.decide(try await q.batch(turns, isFinal: false))
        try same(first, .overdue([a]), "With a hold in the way")
        try same(try await q.state("ann"), .waiting, "Ann, who has nothing to do with it")
        try await q.rig.expect(b, held: 0)
        try same(try await q.store.expire([a], limit: 10).map(\.id), [old.id], "Expired")
        guard case .decided(_, let verdicts) = try await q.store.decide(try await q.batch(turns, isFinal: false)) else {
            throw ContractViolation("With nothing in the way the batch is not decided.")
        }
        try same(verdicts.map(\.kind), [.held, .held], "The verdicts")
        // Nothing is overdue: it is short, and said to be.
        let late = q.claim([Line(a)], by: "cid")
        _ = try await q.enqueue([late])
        let last = try await q.store.decide(try await q.batch([QueueBatch.Turn(q.name("cid"))], isFinal: false))
        guard case .decided(_, let refused) = last else { throw ContractViolation("A shortage came to \(last).") }
        try same(refused.map(\.kind), [.refused], "The last verdict")
    }

    private static func queuedNames(_ q: QueueChecker) async throws {
        try await q.prepare()
        let item = #"a "b" \ 'c' {"d": [1, null]}, é 한국어 🎟"#.replacing("{", with: "(").replacing("}", with: ")")
        let bucket = try await q.rig.stock(.counted(item), 5)
        let holder = #"O'Hara, "x" \\ {1,NULL}"#
        let claim = q.claim([Line(bucket)], by: holder, key: #"{"a":"\u0000"}"#)
        try same(try await q.run([claim]), [.held], "The verdict")
        let found = try await q.rig.store.reservation(claim.id, holder: holder)
        try same(found?.lines.map(\.bucket), [bucket], "The bucket")
        try same(found?.expiresAt.timeIntervalSince(found?.createdAt ?? .distantPast), 600, "How long it is held")
    }
}
