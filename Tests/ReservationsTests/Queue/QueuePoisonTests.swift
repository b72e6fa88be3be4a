import Reservations
import ReservationStoreConformance
import Synchronization
import TestSupport
import Testing

@Suite("Requests that cannot be decided", .timeLimit(.minutes(2)))
struct QueuePoisonTests {
    /// Fails whatever holds a request of this caller, unless it is to be set aside.
    private static func poisoned(_ caller: String, alsoAside: Countdown = Countdown(0)) -> ProbedQueueStore {
        ProbedQueueStore(InMemoryReservationStore()) { batch in
            for turn in batch.turns where turn.request.caller == caller {
                if turn.treatment == .decide || alsoAside.take() { return StoreError(.failed, "Injected.") }
            }
            return nil
        }
    }

    @Test("One among others: the others are served in their order, the one is told, and set aside")
    func one() async throws {
        let queue = InMemoryReservationQueue()
        try await withQueueRig(store: Self.poisoned("buyer-4"), queue: queue) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 6)
            let outcomes = await QueueRig.outcomes(try await rig.submit(9))
            #expect(
                outcomes == ["held", "held", "held", "held", "failed", "held", "held", "out-of-stock", "out-of-stock"])
            #expect((0..<2).flatMap(queue.buried).map(\.caller) == ["buyer-4"])
            #expect(try await rig.store.audit(grace: .seconds(5)).isClean)
        }
    }

    @Test("A batch that is too much for the store is made smaller until it is not")
    func tooLarge() async throws {
        let gate = Gate()
        let store = ProbedQueueStore(InMemoryReservationStore()) { batch in
            await gate.wait()
            return batch.turns.count > 3 ? StoreError(.busy, "Injected: out of time.") : nil
        }
        try await withQueueRig(store: store) { rig, _ in
            // Whatever goes wrong: nobody waits there for ever.
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 15)
            let tickets = try await rig.submit(20)
            gate.open()
            let outcomes = await QueueRig.outcomes(tickets)
            #expect(outcomes == Array(repeating: "held", count: 15) + Array(repeating: "out-of-stock", count: 5))
        }
    }

    @Test("What the store fails at for a moment is decided all the same")
    func moment() async throws {
        let left = Countdown(2)
        let store = ProbedQueueStore(InMemoryReservationStore()) { _ in
            left.take() ? StoreError(.failed, "Injected.") : nil
        }
        try await withQueueRig(store: store) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 1)
            #expect(try await rig.outcome(of: "ann") == "held")
        }
    }

    @Test("One that cannot be written down does not take others with it")
    func intake() async throws {
        let gate = Gate()
        let store = ProbedQueueStore(
            InMemoryReservationStore(),
            onEnqueue: { claims in
                await gate.wait()
                return claims.contains { $0.holder == "buyer-4" } ? StoreError(.failed, "Injected.") : nil
            })
        try await withQueueRig(store: store) { rig, _ in
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 100)
            let outcomes = await withTaskGroup(of: (Int, String).self) { group in
                for buyer in 0..<9 {
                    group.addTask {
                        do {
                            return (buyer, try await rig.outcome(of: "buyer-\(buyer)"))
                        } catch {
                            return (buyer, (error as? ReservationError)?.code.name ?? "\(error)")
                        }
                    }
                }
                // However many have gathered meanwhile.
                gate.open()
                return await group.reduce(into: Array(repeating: "", count: 9)) { $0[$1.0] = $1.1 }
            }
            #expect(
                outcomes.enumerated().allSatisfy { $0.element == ($0.offset == 4 ? "failed" : "held") }, "\(outcomes)")
        }
    }

    @Test("A graveyard that is closed does not stop the line")
    func graveyard() async throws {
        let queue = NoGraveyard(inner: InMemoryReservationQueue())
        try await withQueueRig(store: Self.poisoned("buyer-0"), queue: queue) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 6)
            #expect(try await rig.outcome(of: "buyer-0") == "failed")
            // The batch was announced and trimmed as any other.
            try await waitUntil("the entry is gone") { (0..<2).flatMap(queue.inner.entries).isEmpty }
            #expect(try await rig.outcome(of: "buyer-1") == "held")
        }
    }

    @Test("One that cannot even be set aside is tried again with pauses, and not as fast as it goes")
    func cannotBeSetAside() async throws {
        let tries = Mutex(0)
        let isBroken = Mutex(true)
        let store = ProbedQueueStore(InMemoryReservationStore()) { _ in
            tries.withLock { $0 += 1 }
            await Task.yield()
            return isBroken.withLock { $0 } ? StoreError(.failed, "Injected.") : nil
        }
        try await withQueueRig(store: store) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 6)
            let ticket = try await rig.submit("ann")
            try await waitUntil("it was tried often") { tries.withLock { $0 > 8 } }
            let before = tries.withLock { $0 }
            for _ in 0..<2_000 { await Task.yield() }
            #expect(tries.withLock { $0 } < before + 500, "The line spins.")
            isBroken.withLock { $0 = false }
            #expect(["held", "failed"].contains(await ticket.outcome()))
        }
    }
}

/// A queue that buries nobody.
struct NoGraveyard: QueueWrapper {
    let inner: InMemoryReservationQueue

    func bury(_ request: RequestName, of partition: Int, reason: String) async throws(QueueError) {
        throw QueueError(.misconfigured, "Injected: nobody is buried here.")
    }
}
