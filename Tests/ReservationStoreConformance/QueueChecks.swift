import Reservations

extension StoreConformance {
    /// The contract of ``QueueingReservationStore``, for stores that keep it.
    package static var queueChecks: [ConformanceCheck] { intakeChecks + batchChecks + refusalChecks }

    private static var intakeChecks: [ConformanceCheck] {
        [
            queueCheck("Partitions are made once, and stay as many", partitions),
            queueCheck("Requests are numbered in their order, each line for itself", numbers),
            queueCheck("A request that is repeated keeps its number; another with its key is refused", repetition),
            queueCheck("Lines have an end, and so has what one caller may put into them", limits),
            queueCheck("A line that was full takes others when it is served", drained),
            queueCheck("A line that all have left is empty", abandoned),
            queueCheck("How many wait, and for how long, is told of each line", lags),
            queueCheck("What waits is found by number and age", waiting),
            queueCheck("A key that waits is in progress for those who do not queue", directKeys),
            queueCheck("Many at once each get a number of their own", concurrentIntake),
            queueCheck("What waits is not forgotten, what is decided is", forgettingQueued),
        ]
    }

    private static func partitions(_ q: QueueChecker) async throws {
        try same(try await q.store.preparePartitions(3), [0, 0, 0], "Served")
        try same(try await q.store.preparePartitions(3), [0, 0, 0], "Served, asked again")
        var refusal: StoreError?
        do throws(StoreError) {
            _ = try await q.store.preparePartitions(4)
        } catch {
            refusal = error
        }
        try same(refusal?.code, .misconfigured, "Another number of partitions")
    }

    private static func numbers(_ q: QueueChecker) async throws {
        try await q.prepare()
        let first = try await q.enqueue(["ann", "bob", "cid"].map { q.claim([Line(.counted("a"))], by: $0) })
        try same(first, [.waiting(number: 1), .waiting(number: 2), .waiting(number: 3)], "The first")
        try same(try await q.enqueue([q.claim([Line(.counted("a"))], by: "dan")]), [.waiting(number: 4)], "The next")
        let other = try await q.enqueue([q.claim([Line(.counted("b"))], by: "eve")], in: 1)
        try same(other, [.waiting(number: 1)], "In the other line")
        try same(try await q.enqueue([]), [], "None")
    }

    private static func repetition(_ q: QueueChecker) async throws {
        try await q.prepare()
        let claim = q.claim([Line(.counted("a"))], by: "ann")
        try same(try await q.enqueue([claim]), [.waiting(number: 1)], "Asked")
        let twin = q.claim([Line(.counted("a"))], by: "ann")
        try same(try await q.enqueue([twin]), [.waiting(number: 1)], "Repeated")
        let other = q.claim([Line(.counted("a"))], by: "ann", print: "another")
        let stranger = q.claim([Line(.counted("a"))], by: "bob")
        let outcomes = try await q.enqueue([other, stranger])
        try same(outcomes.first, .key(.reused), "Another request")
        guard case .waiting(let number) = outcomes[1], number > 1 else {
            throw ContractViolation("Beside it: \(outcomes[1])")
        }
        // Two spellings of one letter are two callers.
        let composed = try await q.enqueue([q.claim([Line(.counted("a"))], by: "\u{E9}")])
        let decomposed = try await q.enqueue([q.claim([Line(.counted("a"))], by: "e\u{301}")])
        try check(composed != decomposed, "Callers are not compared by bytes.")
    }

    private static func limits(_ q: QueueChecker) async throws {
        try await q.prepare()
        let narrow = IntakeLimits(waiting: 3, perCaller: 2)
        let claims = (1...3).map { q.claim([Line(.counted("a"))], by: "ann", key: "\($0)") }
        try same(
            try await q.store.enqueue(claims, in: 0, limits: narrow),
            [.waiting(number: 1), .waiting(number: 2), .callerLimit(current: 2)], "One caller")
        let more = ["bob", "cid"].map { q.claim([Line(.counted("a"))], by: $0) }
        let outcomes = try await q.store.enqueue(more, in: 0, limits: IntakeLimits(waiting: 100, perCaller: 2))
        try check(outcomes.allSatisfy { if case .waiting = $0 { true } else { false } }, "Others: \(outcomes)")
        let full = try await q.store.enqueue([q.claim([Line(.counted("a"))], by: "dan")], in: 0, limits: narrow)
        guard case .full(let waiting)? = full.first, waiting >= 3 else { throw ContractViolation("Full: \(full)") }
        // Who waits already is told so, however full it is.
        try same(try await q.store.enqueue([claims[0]], in: 0, limits: narrow), [.waiting(number: 1)], "Repeated")
    }

    /// Who is refused, and who comes twice, takes nobody's place.
    private static func drained(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 9)
        let narrow = IntakeLimits(waiting: 2, perCaller: 5)
        let first = ["ann", "bob"].map { q.claim([Line(a)], by: $0) }
        _ = try await q.store.enqueue(first, in: 0, limits: narrow)
        for caller in ["cid", "dan", "eve", "fay"] {
            let outcome = try await q.store.enqueue([q.claim([Line(a)], by: caller)] + first, in: 0, limits: narrow)
            try same(outcome, [.full(waiting: 2), .waiting(number: 1), .waiting(number: 2)], "While it is full")
        }
        try await q.decide(first)
        for caller in ["gus", "hal"] {
            let outcome = try await q.store.enqueue([q.claim([Line(a)], by: caller)], in: 0, limits: narrow)
            guard case .waiting? = outcome.first else { throw ContractViolation("When it is served: \(outcome)") }
        }
    }

    /// Nobody has had his turn, and yet nobody waits.
    private static func abandoned(_ q: QueueChecker) async throws {
        try await q.prepare()
        let narrow = IntakeLimits(waiting: 2, perCaller: 5)
        let claims = ["ann", "bob"].map { q.claim([Line(.counted("a"))], by: $0) }
        _ = try await q.store.enqueue(claims, in: 0, limits: narrow)
        for claim in claims { _ = try await q.store.withdraw(q.name(claim.holder)) }
        try same(try await q.store.preparePartitions(2), [2, 0], "How far nobody waits")
        let outcome = try await q.store.enqueue([q.claim([Line(.counted("a"))], by: "cid")], in: 0, limits: narrow)
        try same(outcome, [.waiting(number: 3)], "The next")
        try same(try await q.store.preparePartitions(2), [2, 0], "How far nobody waits, while one does")
    }

    private static func lags(_ q: QueueChecker) async throws {
        try await q.prepare()
        let nobody = LineLag(waiting: 0, oldest: nil)
        try same(try await q.store.lag(), [nobody, nobody], "While nobody waits")
        let a = try await q.rig.stock(.counted("a"), 9)
        let claims = ["ann", "bob", "cid"].map { q.claim([Line(a)], by: $0) }
        _ = try await q.enqueue(claims)
        let lag = try await q.store.lag()
        try same(lag.map(\.waiting), [3, 0], "How many wait")
        try check(lag[0].oldest.map { $0 >= .zero } ?? false, "Nobody knows since when the first waits.")
        try same(lag[1], nobody, "In the other line")
        _ = try await q.store.withdraw(q.name("ann"))
        try same(try await q.store.lag().first?.waiting, 2, "When the first has left")
        try await q.decide(Array(claims.dropFirst()))
        try same(try await q.store.lag(), [nobody, nobody], "When all had their turn")
        _ = try await q.enqueue([q.claim([Line(a)], by: "dan")])
        try same(try await q.store.lag().map(\.waiting), [1, 0], "The next")
    }

    private static func waiting(_ q: QueueChecker) async throws {
        try await q.prepare()
        let names = ["ann", "bob", "cid", "dan"]
        _ = try await q.enqueue(names.map { q.claim([Line(.counted("a"))], by: $0) })
        _ = try await q.enqueue([q.claim([Line(.counted("b"))], by: "eve")], in: 1)
        _ = try await q.store.withdraw(q.name("bob"))
        let all = try await q.store.waiting(in: 0, after: 0, through: .max, longerThan: .zero, limit: 10)
        try same(all.map(\.name.caller), ["ann", "cid", "dan"], "All")
        try same(all.map(\.number), [1, 3, 4], "Their numbers")
        let some = try await q.store.waiting(in: 0, after: 1, through: 3, longerThan: .zero, limit: 10)
        try same(some.map(\.name.caller), ["cid"], "Between two numbers")
        let one = try await q.store.waiting(in: 0, after: 0, through: .max, longerThan: .zero, limit: 1)
        try same(one.map(\.name.caller), ["ann"], "One")
        let old = try await q.store.waiting(in: 0, after: 0, through: .max, longerThan: .seconds(3_600), limit: 10)
        try same(old, [], "Of an hour ago")
    }

    private static func directKeys(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 5)
        let claim = q.claim([Line(a)], by: "ann")
        _ = try await q.enqueue([claim])
        try same(try await q.store.claim(claim, by: .atomic), .key(.inProgress), "While it waits")
        try await q.decide([claim])
        guard case .replayed(let reservation) = try await q.store.claim(claim, by: .atomic) else {
            throw ContractViolation("A decided request is not known by its key.")
        }
        try same(reservation.id, claim.id, "The reservation")
        // One that left the line may come without it.
        let other = q.claim([Line(a)], by: "bob")
        _ = try await q.enqueue([other])
        _ = try await q.store.withdraw(q.name("bob"))
        _ = try await q.store.claim(other, by: .atomic).expectHeld()
        guard case .decided(.replayed)? = try await q.enqueue([other]).first else {
            throw ContractViolation("What was reserved without the line waits in it.")
        }
    }

    private static func concurrentIntake(_ q: QueueChecker) async throws {
        try await q.prepare()
        let outcomes = try await together(40) { index in
            // Half of them twice.
            try await q.enqueue([q.claim([Line(.counted("a"))], by: "buyer-\(index / 2)")])
        }
        let numbers = outcomes.flatMap { $0 }.compactMap { if case .waiting(let number) = $0 { number } else { nil } }
        let waiting = try await q.store.waiting(in: 0, after: 0, through: .max, longerThan: .zero, limit: 100)
        try same(waiting.count, 20, "Waiting")
        try same(Set(waiting.map(\.number)).count, 20, "Numbers")
        try check(Set(numbers).isSubset(of: Set(waiting.map(\.number))), "A number was told that nobody has.")
    }

    private static func forgettingQueued(_ q: QueueChecker) async throws {
        try await q.prepare()
        let a = try await q.rig.stock(.counted("a"), 5)
        let (done, waits) = (q.claim([Line(a)], by: "ann"), q.claim([Line(a)], by: "bob"))
        _ = try await q.enqueue([done, waits])
        try await q.decide([done])
        var forgotten = 0
        // What was written in this millisecond is not older than now.
        while forgotten == 0 { forgotten = try await q.store.forgetRequests(olderThan: .zero, limit: 10) }
        let states = try await q.store.requests([q.name("ann"), q.name("bob")])
        try same(states.map { $0 == nil }, [true, false], "Forgotten")
    }
}

/// What checks of a queue use.
struct QueueChecker: Sendable {
    let rig: Rig
    let store: any QueueingReservationStore

    static let generous = IntakeLimits(waiting: 10_000, perCaller: 1_000)

    func prepare(_ count: Int = 2) async throws {
        _ = try await store.preparePartitions(count)
    }

    func name(_ caller: String, key: String = "click") -> RequestName { RequestName(caller: caller, key: key) }

    func claim(
        _ lines: [Line], by holder: String, key: String = "click", print: String = "p", limit: Int? = nil,
        ttl: Duration = .seconds(600)
    ) -> Claim {
        rig.claim(
            lines, by: holder, ttl: ttl, limit: limit, key: StoreConformance.key(key, "reserve", print, by: holder))
    }

    func enqueue(_ claims: [Claim], in partition: Int = 0) async throws -> [IntakeOutcome] {
        try await store.enqueue(claims, in: partition, limits: Self.generous)
    }

    /// Where the line stands now.
    func take(_ partition: Int = 0, token: Int64 = 7) async throws -> QueuePosition {
        guard case .taken(let position, _) = try await store.takePartition(partition, token: token) else {
            throw ContractViolation("Partition \(partition) was not to be had with \(token).")
        }
        return position
    }

    /// A batch behind the last one.
    func batch(
        _ turns: [QueueBatch.Turn], in partition: Int = 0, token: Int64 = 7, isFinal: Bool = true
    ) async throws -> QueueBatch {
        let from = try await take(partition, token: token)
        return QueueBatch(
            partition: partition, token: token, from: from, through: QueuePosition(from.major + 1), turns: turns,
            isFinal: isFinal)
    }

    @discardableResult
    func decide(_ claims: [Claim], in partition: Int = 0, token: Int64 = 7) async throws -> [BatchOutcome.Verdict.Kind]
    {
        let turns = claims.compactMap(\.request?.name).map { QueueBatch.Turn($0) }
        let outcome = try await store.decide(try await batch(turns, in: partition, token: token))
        guard case .decided(_, let verdicts) = outcome else { throw ContractViolation("The batch came to \(outcome).") }
        return verdicts.map(\.kind)
    }

    func state(_ caller: String, key: String = "click") async throws -> QueuedRequest.State? {
        try await store.requests([name(caller, key: key)]).first.flatMap { $0 }?.state
    }

    /// Both, to the end of the line.
    @discardableResult
    func run(_ claims: [Claim]) async throws -> [BatchOutcome.Verdict.Kind] {
        for outcome in try await enqueue(claims) {
            guard case .waiting = outcome else { throw ContractViolation("A request came to \(outcome).") }
        }
        return try await decide(claims)
    }
}
