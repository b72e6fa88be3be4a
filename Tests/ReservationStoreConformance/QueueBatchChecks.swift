import Reservations

extension StoreConformance {
    static var batchChecks: [ConformanceCheck] {
        [
            queueCheck("A batch is decided in its order, and the line moves with it", batchOrder),
            queueCheck("Only the owner of the greatest token moves the line, and only from where it stands", ownership),
            queueCheck("Two owners who decide on the same at once: one does", racingOwners),
            queueCheck("An entry that comes twice is decided once", duplicates),
            queueCheck(
                "Who is silent is skipped, what cannot be decided is set aside, and both may come again", treatments),
            queueCheck("Who has left the line is not served; who leaves too late is told", withdrawals),
            queueCheck("A line that was set back is walked through again, without effect", rewinding),
            queueCheck("Carts in a batch are held as a whole or not at all", batchCarts),
            queueCheck("A seat is given once in a batch", batchSeats),
            queueCheck("Batches of several lines and claims beside them do not oversell", batchesBesideClaims),
        ]
    }

    static func queueCheck(
        _ name: String, _ body: @escaping @Sendable (QueueChecker) async throws -> Void
    ) -> ConformanceCheck {
        ConformanceCheck(name) { rig in
            guard let store = rig.store as? any QueueingReservationStore else {
                throw ContractViolation("The store keeps no queue.")
            }
            try await body(QueueChecker(rig: rig, store: store))
        }
    }

    private static func batchOrder(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 3)
        let claims = ["ann", "bob", "cid", "dan"].map { q.claim([Line(a)], by: $0) }
        _ = try await q.enqueue(claims)
        let turns = claims.reversed().compactMap(\.request?.name).map { QueueBatch.Turn($0) }
        let batch = try await q.batch(turns)
        guard case .decided(let served, let verdicts) = try await q.store.decide(batch) else {
            throw ContractViolation("The batch was not decided.")
        }
        try same(served, 4, "Served")
        try same(verdicts.map(\.request.caller), ["dan", "cid", "bob", "ann"], "The order")
        try same(verdicts.map(\.kind), [.held, .held, .held, .refused], "The verdicts")
        try same(try await q.take(), batch.through, "The position")
        try same(try await q.store.preparePartitions(2), [4, 0], "Served, as the store tells")
        try await q.rig.expect(a, held: 3)
        guard case .decided(.replayed(let reservation))? = try await q.state("dan") else {
            throw ContractViolation("Dan has nothing.")
        }
        try same(reservation.id, claims[3].id, "Dan's reservation")
        try same(reservation.holder, "dan", "Its holder")
        let known = try await q.rig.store.reservation(claims[3].id, holder: "dan")
        // Who told the batch need not be asked again: if it tells, it tells what it knows.
        if let told = verdicts[0].answer, let known {
            try same(told, .held(.init(known)), "What is told of Dan at once")
        }
        if let told = verdicts[3].answer, case .decided(let outcome)? = try await q.state("ann") {
            try same(told, .refused(outcome), "What is told of Ann at once")
        }
        try same(known?.state, .held, "As the store knows it")
        _ = try await q.rig.resolve(.confirm, claims[3].id, by: "dan").expectDone()
        guard case .decided(.replayed(let later))? = try await q.enqueue([claims[3]]).first else {
            throw ContractViolation("A decided request waits again.")
        }
        try same(later.state, .confirmed, "As it stands now")
        try check(
            try await q.rig.store.ledger(ofItem: "a", after: 0, limit: 10).count == 5, "The ledger is incomplete.")
    }

    private static func ownership(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 3)
        let claim = q.claim([Line(a)], by: "ann")
        _ = try await q.enqueue([claim])
        let late = try await q.batch([QueueBatch.Turn(q.name("ann"))], token: 7)
        _ = try await q.take(token: 9)
        try same(try await q.store.takePartition(0, token: 8), .staleFence(seen: 9), "A lesser token")
        try same(try await q.store.decide(late), .superseded, "A batch of the owner before")
        try same(try await q.store.rewind(0, token: 7), false, "Setting back by the owner before")
        let elsewhere = QueueBatch(
            partition: 0, token: 9, from: QueuePosition(5), through: QueuePosition(6),
            turns: [QueueBatch.Turn(q.name("ann"))])
        try same(try await q.store.decide(elsewhere), .superseded, "From another position")
        try same(try await q.state("ann"), .waiting, "Ann")
        try await q.rig.expect(a, held: 0)
        try same(try await q.decide([claim], token: 9), [.held], "By the owner")
    }

    private static func racingOwners(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 100)
        for round in 0..<5 {
            let claims = (0..<10).map { q.claim([Line(a)], by: "buyer-\(round)-\($0)") }
            _ = try await q.enqueue(claims)
            let batch = try await q.batch(claims.compactMap(\.request?.name).map { QueueBatch.Turn($0) })
            let outcomes = try await together(4) { _ in try await q.store.decide(batch) }
            try same(outcomes.count { $0 == .superseded }, 3, "Superseded")
        }
        try await q.rig.expect(a, held: 50)
    }

    private static func duplicates(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 9)
        let claims = [q.claim([Line(a)], by: "ann"), q.claim([Line(a)], by: "bob")]
        _ = try await q.enqueue(claims)
        try same(try await q.decide([claims[0], claims[1], claims[0]]), [.held, .held], "In one batch")
        try same(try await q.decide([claims[1], claims[0]]), [], "In the next")
        try same(try await q.decide([q.claim([Line(a)], by: "nobody")]), [], "Of one who never came")
        let other = q.claim([Line(a)], by: "cid")
        _ = try await q.enqueue([other], in: 1)
        try same(try await q.decide([other]), [], "Of another line")
        try await q.rig.expect(a, held: 2)
    }

    private static func treatments(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 9)
        let claims = ["ann", "bob", "cid"].map { q.claim([Line(a)], by: $0) }
        _ = try await q.enqueue(claims)
        let turns: [QueueBatch.Turn] = [
            .init(q.name("ann"), .skip), .init(q.name("bob"), .fail), .init(q.name("cid")),
        ]
        guard case .decided(let served, let verdicts) = try await q.store.decide(try await q.batch(turns)) else {
            throw ContractViolation("The batch was not decided.")
        }
        try same(served, 3, "Served")
        try same(verdicts.map(\.kind), [.skipped, .failed, .held], "The verdicts")
        try same(try await q.state("ann"), .skipped, "Ann")
        try same(try await q.state("bob"), .failed, "Bob")
        try await q.rig.expect(a, held: 1)
        guard case .waiting(let number)? = try await q.enqueue([claims[0]]).first, number > 3 else {
            throw ContractViolation("Who missed his turn cannot come again.")
        }
        try same(try await q.decide([claims[0]]), [.held], "At the second turn")
    }

    private static func withdrawals(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 9)
        let claims = [q.claim([Line(a)], by: "ann"), q.claim([Line(a)], by: "bob")]
        _ = try await q.enqueue(claims)
        try same(try await q.store.withdraw(q.name("ann"))?.state, .withdrawn, "Ann")
        try same(try await q.decide(claims), [.held], "The verdicts")
        guard case .decided(.replayed)? = try await q.store.withdraw(q.name("bob"))?.state else {
            throw ContractViolation("Who leaves too late is not told what he has.")
        }
        try same(try await q.store.withdraw(q.name("nobody")), nil, "One who never came")
        try same(try await q.state("ann"), .withdrawn, "Ann afterwards")
        try await q.rig.expect(a, held: 1)
    }

    private static func rewinding(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 9)
        let claims = [q.claim([Line(a)], by: "ann"), q.claim([Line(a)], by: "bob")]
        try await q.run(claims)
        try same(try await q.store.rewind(0, token: 7), true, "Set back")
        try same(try await q.take(), .start, "The position")
        try same(try await q.decide(claims), [], "Again")
        try same(try await q.store.preparePartitions(2), [2, 0], "Served")
        try await q.rig.expect(a, held: 2)
    }

    private static func batchCarts(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 5)
        let b = try await q.rig.stock(.counted("b"), 2)
        let both = ["ann", "bob", "cid"].map { q.claim([Line(a), Line(b)], by: $0) }
        let alone = q.claim([Line(a, quantity: 3)], by: "dan")
        try same(try await q.run(both + [alone]), [.held, .held, .refused, .held], "The verdicts")
        try await q.rig.expect(a, held: 5)
        try await q.rig.expect(b, held: 2)
    }

    private static func batchSeats(_ q: QueueChecker) async throws {
        try await q.prepare()
        let seat = try await q.rig.stock(.seat("concert", "A1"), 1)
        let claims = (0..<6).map { q.claim([Line(seat)], by: "buyer-\($0)") }
        let verdicts = try await q.run(claims)
        try same(verdicts, [.held] + Array(repeating: .refused, count: 5), "The verdicts")
        try await q.rig.expect(seat, held: 1)
    }

    private static func batchesBesideClaims(_ q: QueueChecker) async throws {
        try await q.prepare()
        let buckets = [
            try await q.rig.stock(.counted("a"), 30), try await q.rig.stock(.counted("b"), 30),
            try await q.rig.stock(.counted("c"), 30),
        ]
        let lines = { @Sendable (index: Int) in [Line(buckets[index % 3]), Line(buckets[(index + 1) % 3])] }
        let held = try await together(24) { index -> Int in
            if index < 4 {
                let claims = (0..<10).map { q.claim(lines($0), by: "queued-\(index)-\($0)") }
                _ = try await q.enqueue(claims, in: index % 2)
                // One after the other in each line: whose position is another's tries again.
                while true {
                    let turns = claims.compactMap(\.request?.name).map { QueueBatch.Turn($0) }
                    let outcome = try await q.store.decide(try await q.batch(turns, in: index % 2))
                    if case .decided(_, let verdicts) = outcome { return verdicts.count { $0.kind == .held } }
                }
            }
            while true {
                do throws(StoreError) {
                    let outcome = try await q.store.claim(q.rig.claim(lines(index), by: "direct-\(index)"), by: .atomic)
                    if case .held = outcome { return 1 }
                    return 0
                } catch {
                    guard error.code == .busy, error.effect == .none else { throw error }
                }
            }
        }
        let states = try await q.store.states(of: buckets)
        try same(states.map(\.held).reduce(0, +), 2 * held.reduce(0, +), "Units held in all")
        // Sixty carts wanted what forty-five can have: nobody is refused while two kinds are left.
        try check(states.count { $0.available > 0 } <= 1, "Left: \(states.map(\.available))")
    }
}
