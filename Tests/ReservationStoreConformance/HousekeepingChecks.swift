import Reservations

extension StoreConformance {
    static var housekeeping: [ConformanceCheck] {
        [
            ConformanceCheck("Ten migrations at once", migrating),
            ConformanceCheck("Capacity grows and shrinks, not below what is taken, not above what can be", restocking),
            ConformanceCheck("Holds expire oldest first, so many at a time, of some buckets or of all", expiring),
            ConformanceCheck("Sweepers at once end each hold once", sweepersTogether),
            ConformanceCheck("An overdue hold is a finding of the audit", overdueAudit),
            ConformanceCheck("A cancelled task leaves nothing or everything behind", cancelledTasks),
            ConformanceCheck("A hundred readers and writers are served", crowd),
            ConformanceCheck("A closed store says so", leavesStoreOpen: false, closing),
        ]
    }

    private static func closing(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 1)
        try await rig.expectCleanAudit()
        await rig.store.close()
        await rig.store.close()
        do throws(StoreError) {
            _ = try await rig.store.states(of: [a])
        } catch {
            try same(error.code, .closed, "The error")
            try same(error.effect, .none, "Its effect")
            return
        }
        throw ContractViolation("A closed store answers.")
    }

    private static func migrating(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 3)
        _ = try await together(10) { _ in try await rig.store.migrate() }
        try same(try await rig.state(of: a).capacity, 3, "Capacity")
    }

    private static func restocking(_ rig: Rig) async throws {
        let a = Bucket.counted("a")
        let change = { (bucket: Bucket, delta: Int) in
            try await rig.store.restock(StockChange(bucket: bucket, delta: delta, actor: "stock"))
        }
        try same(try await change(a, -1), .belowCommitments(committed: 0), "Taking from nothing")
        try same(try await rig.store.states(of: [a]), [], "Nothing was made")
        guard case .done(let made) = try await change(a, 0) else {
            throw ContractViolation("An empty bucket was not made.")
        }
        try same(made.capacity, 0, "Capacity")
        _ = try await change(a, 5)
        try await rig.hold([Line(a, quantity: 2)])
        let sold = try await rig.hold([Line(a)])
        _ = try await rig.resolve(.confirm, sold.id).expectDone()
        try same(try await change(a, -3), .belowCommitments(committed: 3), "Below")
        guard case .done(let state) = try await change(a, -2) else {
            throw ContractViolation("What is free cannot be taken away.")
        }
        try same([state.capacity, state.held, state.sold, state.available], [3, 2, 1, 0], "State")
        let seat = try await rig.stock(.seat("hall", "1"), 1)
        try same(try await change(seat, 1), .aboveMaximum, "A second seat")
        try same(try await change(a, a.maximumCapacity), .aboveMaximum, "Too many")
        try same(try await rig.state(of: a).capacity, 3, "Capacity")
    }

    private static func expiring(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 9)
        let b = try await rig.stock(.counted("b"), 9)
        var ids: [ReservationID] = []
        for index in 0..<4 {
            let held = try await rig.hold(index == 3 ? [Line(a), Line(b)] : [Line(a)])
            try await rig.harness.age(held.id, by: .seconds(700 + 100 * (4 - index)))
            ids.append(held.id)
        }
        let alive = try await rig.hold([Line(a), Line(b)], by: "bob")
        let ofB = try await rig.store.expire([b], limit: 10)
        try same(ofB.map(\.id), [ids[3]], "Of b")
        try same(ofB.map(\.state), [.expired], "State")
        try same(ofB.first?.lines.count, 2, "Lines")
        try same(try await rig.store.expire(nil, limit: 2).map(\.id), [ids[0], ids[1]], "The oldest two")
        try same(try await rig.store.expire(nil, limit: 10).map(\.id), [ids[2]], "The rest")
        try same(try await rig.store.expire(nil, limit: 10), [], "None is left")
        try same(try await rig.store.reservation(alive.id, holder: nil)?.state, .held, "One that is not due")
        try await rig.expect(a, held: 1)
        try await rig.expect(b, held: 1)
    }

    private static func sweepersTogether(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 40)
        for _ in 0..<20 {
            let held = try await rig.hold([Line(a)])
            try await rig.harness.age(held.id, by: .seconds(700))
        }
        let swept = try await together(6) { _ in
            var ids: [ReservationID] = []
            while case let ended = try await rig.store.expire(nil, limit: 3), !ended.isEmpty { ids += ended.map(\.id) }
            return ids
        }.flatMap { $0 }
        let rest = try await rig.store.expire(nil, limit: 40).map(\.id)
        try same((swept + rest).count, 20, "Ended")
        try same(Set(swept + rest).count, 20, "Different ones")
        try await rig.expect(a, held: 0)
    }

    private static func overdueAudit(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 9)
        let held = try await rig.hold([Line(a)])
        try await rig.harness.age(held.id, by: .seconds(700))
        try same(try await rig.store.audit(grace: .seconds(3_600)).isClean, true, "Within the grace")
        try same(try await rig.store.audit(grace: .seconds(10)).findings.map(\.rule), [.overdue], "Findings")
        try same(try await rig.store.reservation(held.id, holder: nil)?.state, .expired, "State")
        try await rig.expect(a, held: 1)
        _ = try await rig.store.expire(nil, limit: 9)
    }

    private static func cancelledTasks(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 500)
        let b = try await rig.stock(.counted("b"), 500)
        let claims = (0..<60).map { index in rig.claim([Line(a), Line(b)], by: "buyer \(index)") }
        for claim in claims {
            let task = Task { try await rig.store.claim(claim, by: .atomic) }
            if claim.holder.hasSuffix("0") { task.cancel() }
            for _ in 0..<Int.random(in: 0..<20) { await Task.yield() }
            task.cancel()
            let outcome = await task.result
            let found = try await rig.store.reservation(claim.id, holder: nil)
            switch outcome {
            case .success(.held): try check(found != nil, "A hold that was acknowledged is not there.")
            case .success(let other): throw ContractViolation("A claim came to \(other).")
            case .failure(let error as StoreError):
                try check(
                    [.cancelled, .busy].contains(error.code), "A cancelled claim failed with \(error.code): \(error)")
                try check(error.effect == .unknown || found == nil, "A hold is there that was said not to be.")
            case .failure(let error): throw error
            }
        }
        let holds = try await rig.store.ledger(ofItem: "a", after: 0, limit: 1_000).filter { $0.kind == .hold }.count
        try await rig.expect(a, held: holds)
        try await rig.expect(b, held: holds)
    }

    private static func crowd(_ rig: Rig) async throws {
        let a = try await rig.stock(.counted("a"), 1_000)
        let kept = try await together(100) { index in
            let claim = rig.claim([Line(a)], by: "buyer \(index)")
            let held = try await ClaimMode.atomic.claim(claim, in: rig.store).expectHeld()
            _ = try await rig.store.states(ofItem: "a", after: nil, limit: 10)
            guard index % 2 == 0 else { return 1 }
            _ = try await rig.resolve(.cancel, held.id, by: held.holder).expectDone()
            return 0
        }
        try await rig.expect(a, held: kept.reduce(0, +))
    }
}
