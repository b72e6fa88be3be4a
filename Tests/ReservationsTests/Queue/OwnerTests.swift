import RedisLocks
import ReservationStoreConformance
import Reservations
import Synchronization
import TestSupport
import Testing

@Suite("Owners of a waiting line", .timeLimit(.minutes(2)))
struct OwnerTests {
    @Test("A paused owner's late batch is refused: another has gone on")
    func pausedOwner() async throws {
        let memory = InMemoryReservationStore()
        let queue = InMemoryReservationQueue()
        let gate = Gate()
        let outcomes = Mutex<[BatchOutcome]>([])
        let hasBegun = Mutex(false)
        let slow = ProbedQueueStore(
            memory,
            onDecide: { _ in
                hasBegun.withLock { $0 = true }
                await gate.wait()
                return nil
            }, onDecided: { outcome in outcomes.withLock { $0.append(outcome) } })
        try await withQueueRig(store: slow, queue: queue, { $0.ownerTTL = .milliseconds(500) }) { first, server in
            // Whatever goes wrong: nobody waits there for ever.
            defer { gate.open() }
            try await memory.stock(.counted("shirt"), 2)
            let tickets = try await first.submit(3)
            try await waitUntil("the first is in the middle of its batch") { hasBegun.withLock { $0 } }
            // Its lock is gone.
            try server.command("FLUSHALL")
            try await QueueRig.with(memory, queue, server) { second in
                #expect(await second.reserved("buyer-0") == "held")
                gate.open()
                #expect(await QueueRig.outcomes(tickets) == ["held", "held", "out-of-stock"])
            }
            try await waitUntil("the late batch was refused") { outcomes.withLock { $0.first } != nil }
            #expect(outcomes.withLock { $0.first } == .superseded)
            #expect(try await memory.audit(grace: .seconds(5)).isClean)
            #expect(try await memory.states(of: [.counted("shirt")]).map(\.held) == [2])
        }
    }

    @Test("Another process goes on when the owner stops; who waited in the first is told that it was shut down")
    func takeover() async throws {
        let memory = InMemoryReservationStore()
        let queue = InMemoryReservationQueue()
        let gate = Gate()
        let held = ProbedQueueStore(memory) { _ in
            await gate.wait()
            return .init(.unavailable, "Injected.")
        }
        try await RedisTestServer.with { server in
            try await memory.stock(.counted("shirt"), 2)
            let told = Mutex<Task<[String], Never>?>(nil)
            try await QueueRig.with(held, queue, server) { first in
                defer { gate.open() }
                let tickets = try await first.submit(3)
                told.withLock { $0 = Task { await QueueRig.outcomes(tickets) } }
                try await waitUntil("three wait") {
                    (0..<2).reduce(0) { $0 + first.line.board.present(in: $1).count } == 3
                }
            }
            #expect(await told.withLock { $0 }?.value == ["closed", "closed", "closed"])
            try await QueueRig.with(memory, queue, server) { second in
                var outcomes: [String] = []
                for buyer in 0..<3 { outcomes.append(await second.reserved("buyer-\(buyer)")) }
                #expect(outcomes == ["held", "held", "out-of-stock"])
            }
        }
    }

    @Test("A ticket is found, moves and is decided in a process that does not own the line")
    func otherProcess() async throws {
        let memory = InMemoryReservationStore()
        let queue = InMemoryReservationQueue()
        let gate = Gate()
        let slow = ProbedQueueStore(memory) { batch in
            if batch.turns.contains(where: { $0.request.caller == "buyer-2" }) { await gate.wait() }
            return nil
        }
        try await withQueueRig(store: slow, queue: queue, { $0.maximumBatch = 1 }) { owner, server in
            defer { gate.open() }
            try await memory.stock(.counted("shirt"), 4)
            _ = try await owner.submit(5)
            try await QueueRig.with(memory, queue, server, { $0.ownsPartitions = false }) { other in
                guard case .waiting(let ticket) = try await other.service.ticket("k", for: "buyer-4") else {
                    return #expect(Bool(false), "It waits.")
                }
                var positions: [Int] = []
                for await update in ticket.updates {
                    switch update {
                    case .waiting(let standing):
                        positions.append(standing.position)
                        #expect(standing.estimate == nil, "Of five nobody knows how fast they are.")
                        if standing.position == 3 { gate.open() }
                    case .decided(let result):
                        #expect(throws: ReservationError.self) { try result.get() }
                    }
                }
                #expect(positions == positions.sorted(by: >), "\(positions)")
                guard case .decided(.success(let third)) = try await other.service.ticket("k", for: "buyer-3") else {
                    return #expect(Bool(false), "It is decided.")
                }
                #expect(third.holder == "buyer-3")
                await #expect { try await other.service.ticket("k", for: "nobody") } throws: {
                    ($0 as? ReservationError)?.code == .notFound
                }
            }
        }
    }

    @Test("A line has an end, and so has what one caller may put into it")
    func backpressure() async throws {
        let gate = Gate()
        let slow = ProbedQueueStore(InMemoryReservationStore(), closedBy: gate)
        try await withQueueRig(
            store: slow,
            {
                $0.maximumWaiting = 3
                $0.maximumWaitingPerCaller = 2
            }
        ) { rig, _ in
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 10)
            var tickets = [try await rig.submit("ann", key: "1"), try await rig.submit("ann", key: "2")]
            await #expect { try await rig.submit("ann", key: "3") } throws: {
                ($0 as? ReservationError)?.code == .queueLimit(limit: 2, current: 2)
            }
            tickets.append(try await rig.submit("bob"))
            for _ in 0..<5 {
                await #expect { try await rig.submit("cid") } throws: { error in
                    guard let error = error as? ReservationError else { return false }
                    return error.code == .queueFull(waiting: 3) && (error.retryAfter ?? .zero) >= .seconds(1)
                }
            }
            gate.open()
            #expect(await QueueRig.outcomes(tickets) == ["held", "held", "held"])
            #expect(try await rig.outcome(of: "cid") == "held")
        }
    }

    @Test("How long it takes is not known at first, and then a range")
    func estimates() async throws {
        try await withQueueRig({ $0.maximumBatch = 1 }) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 100)
            let first = try await rig.submit("ann")
            #expect(first.standing.estimate == nil)
            #expect(first.standing.position >= 1)
            _ = await QueueRig.outcomes(try await rig.submit(30))
            let later = try await rig.submit("zoe")
            let estimate = try #require(later.standing.estimate)
            #expect(estimate.lowerBound > .zero && estimate.upperBound >= estimate.lowerBound)
        }
    }

    @Test("Ten thousand in one line")
    func many() async throws {
        let count = 10_000
        let store = ProbedQueueStore(InMemoryReservationStore())
        try await withQueueRig(store: store) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 100)
            let outcomes = await withTaskGroup(of: String.self) { group in
                for buyer in 0..<count {
                    group.addTask {
                        do {
                            return try await rig.service.reserve(
                                [Line(.counted("shirt"))], for: "buyer-\(buyer)", key: "k"
                            ).state.rawValue
                        } catch {
                            return (error as? ReservationError)?.code.name ?? "\(error)"
                        }
                    }
                }
                return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            }
            #expect(outcomes == ["held": 100, "out-of-stock": count - 100])
            // Whoever waits where it is decided is told without a look.
            #expect(store.requestsAsked < count / 2)
            #expect(try await rig.store.audit(grace: .seconds(5)).isClean)
        }
    }
}
