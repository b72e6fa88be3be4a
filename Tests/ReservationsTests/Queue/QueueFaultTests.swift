import ReservationStoreConformance
import Reservations
import Synchronization
import TestSupport
import Testing

/// Whatever fails once: all are decided, once, in the order of their numbers.
@Suite("A waiting line whose store and queue fail", .timeLimit(.minutes(2)))
struct QueueFaultTests {
    /// Where a store may fail: before the transaction, or when it is committed and the answer is lost.
    struct StoreFault: Sendable, CustomTestStringConvertible {
        let method: InMemoryReservationStore.Method
        let isAfter: Bool
        let code: StoreError.Code
        var testDescription: String { "\(method.rawValue) \(isAfter ? "after" : "before") \(code.rawValue)" }

        static let all: [StoreFault] = [.enqueue, .decide, .queue, .read].flatMap { method in
            [
                StoreFault(method: method, isAfter: false, code: .busy),
                StoreFault(method: method, isAfter: false, code: .unavailable),
                StoreFault(method: method, isAfter: true, code: .unavailable),
            ]
        }
    }

    @Test("A store that fails three times", arguments: StoreFault.all)
    func store(fault: StoreFault) async throws {
        let store = InMemoryReservationStore()
        try await withQueueRig(store: store) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 3)
            // An intake gives up after three tries.
            let left = Countdown(fault.method == .enqueue ? 2 : 3)
            let fail: @Sendable (InMemoryReservationStore.Method) async -> StoreError? = { method in
                guard method == fault.method, left.take() else { return nil }
                return StoreError(fault.code, "Injected.", effect: fault.isAfter ? .unknown : .none)
            }
            var faults = InMemoryReservationStore.Faults()
            if fault.isAfter { faults.after = fail } else { faults.before = fail }
            // Who is not accepted for a reason that may pass asks again, as buyers do.
            store.set(faults)
            var tickets: [Ticket] = []
            for buyer in 0..<6 {
                var ticket: Ticket?
                while ticket == nil { ticket = try? await rig.submit("buyer-\(buyer)") }
                if let ticket { tickets.append(ticket) }
            }
            let outcomes = await QueueRig.outcomes(tickets)
            #expect(outcomes == ["held", "held", "held", "out-of-stock", "out-of-stock", "out-of-stock"])
            store.set(nil)
            #expect(try await rig.store.audit(grace: .seconds(5)).isClean)
        }
    }

    @Test("A queue that fails three times", arguments: InMemoryReservationQueue.Method.allCases)
    func queue(method: InMemoryReservationQueue.Method) async throws {
        let queue = InMemoryReservationQueue()
        try await withQueueRig(queue: queue, { $0.intakeGrace = .seconds(1) }) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 4)
            let left = Countdown(3)
            queue.set { $0 == method && left.take() ? QueueError(.unavailable, "Injected.") : nil }
            let tickets = try await rig.submit(6)
            let outcomes = await QueueRig.outcomes(tickets)
            // Whose entry was lost comes later; nobody is left out.
            #expect(outcomes.sorted() == ["held", "held", "held", "held", "out-of-stock", "out-of-stock"])
            #expect(try await rig.store.audit(grace: .seconds(5)).isClean)
        }
    }

    @Test("A request that comes into the queue neither at first nor when it is put there again is put there once more")
    func requeueFails() async throws {
        let queue = InMemoryReservationQueue()
        try await withQueueRig(queue: queue, { $0.intakeGrace = .seconds(1) }) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 1)
            // The intake's, and the owner's first two.
            let left = Countdown(3)
            queue.set { $0 == .append && left.take() ? QueueError(.unavailable, "Injected.") : nil }
            #expect(try await rig.outcome(of: "ann") == "held")
            #expect(left.isOver)
        }
    }

    @Test("A queue that loses what was put there again: it is put there once more")
    func losesAgainAndAgain() async throws {
        let queue = InMemoryReservationQueue()
        let left = Countdown(4)
        let store = ProbedQueueStore(
            InMemoryReservationStore(), onDecided: { _ in if left.take() { queue.lose() } })
        try await withQueueRig(
            store: store, queue: queue,
            {
                $0.intakeGrace = .seconds(1)
                $0.maximumBatch = 2
            }
        ) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 100)
            let tickets = try await rig.submit(20)
            #expect(await QueueRig.outcomes(tickets) == Array(repeating: "held", count: 20))
            #expect(left.isOver)
        }
    }

    @Test("A queue that loses everything: all are served, in the order of their numbers")
    func losesEverything() async throws {
        let queue = InMemoryReservationQueue()
        let gate = Gate()
        let order = Mutex<[String]>([])
        let store = ProbedQueueStore(
            InMemoryReservationStore(),
            onDecide: { _ in
                await gate.wait()
                return nil
            },
            onDecided: { outcome in
                guard case .decided(_, let verdicts) = outcome else { return }
                order.withLock { $0 += verdicts.map(\.request.caller) }
            })
        try await withQueueRig(store: store, queue: queue, { $0.maximumBatch = 2 }) { rig, _ in
            // Whatever goes wrong: nobody waits there for ever.
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 5)
            let tickets = try await rig.submit(9)
            // The owner holds the first one or two in its hands; all others are gone.
            queue.lose()
            gate.open()
            let outcomes = await QueueRig.outcomes(tickets)
            #expect(outcomes == Array(repeating: "held", count: 5) + Array(repeating: "out-of-stock", count: 4))
            #expect(order.withLock { $0 } == (0..<9).map { "buyer-\($0)" })
        }
    }

    @Test("An announcement that is lost: who waits is told all the same")
    func announcementsLost() async throws {
        let queue = InMemoryReservationQueue()
        queue.set { $0 == .announce ? QueueError(.unavailable, "Injected.") : nil }
        try await withQueueRig(queue: queue) { rig, server in
            try await rig.store.stock(.counted("shirt"), 1)
            // In this process the owner tells without the queue; in another, nobody does.
            try await QueueRig.with(rig.store, queue, server, { $0.ownsPartitions = false }) { other in
                let outcome = try await other.outcome(of: "ann")
                #expect(outcome == "held")
            }
        }
    }
}
