import RedisLocks
import ReservationStoreConformance
import Reservations
import Synchronization
import TestSupport
import Testing

@Suite("Tickets of a waiting line", .timeLimit(.minutes(2)))
struct TicketTests {
    @Test(
        "Who is taken out of the line while he waits is told, although nobody comes after him",
        arguments: [true, false])
    func withdrawnWhileWaiting(isHere: Bool) async throws {
        let gate = Gate()
        let store = ProbedQueueStore(InMemoryReservationStore(), closedBy: gate)
        try await withQueueRig(store: store) { rig, _ in
            // Whatever goes wrong: nobody waits there for ever.
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 1)
            let waiting = Task { try await rig.service.reserve([Line(.counted("shirt"))], for: "ann", key: "k") }
            let name = RequestName(caller: "ann", key: "k")
            try await waitUntil("Ann waits") { rig.line.board.observers(of: name) == 1 }
            // In another process, of which this one hears nothing.
            if isHere {
                _ = try await rig.service.withdraw("k", for: "ann")
            } else {
                _ = try await store.withdraw(name)
            }
            gate.open()
            await #expect { try await waiting.value } throws: { ($0 as? ReservationError)?.code == .withdrawn }
            #expect(try await rig.service.withdraw("k", for: "ann") == nil)
        }
    }

    @Test("Who withdraws too late gets the reservation")
    func tooLate() async throws {
        try await withQueueRig { rig, _ in
            try await rig.store.stock(.counted("shirt"), 1)
            let ticket = try await rig.submit("ann")
            let held = try await ticket.reservation()
            #expect(try await ticket.withdraw()?.id == held.id)
        }
    }

    @Test("Whoever stops waiting gives up his place, and what was not his turn yet")
    func cancelled() async throws {
        let gate = Gate()
        let store = ProbedQueueStore(InMemoryReservationStore(), closedBy: gate)
        try await withQueueRig(store: store) { rig, _ in
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 1)
            let name = RequestName(caller: "ann", key: "k")
            let waiting = Task { try await rig.service.reserve([Line(.counted("shirt"))], for: "ann", key: "k") }
            try await waitUntil("Ann waits") { try await store.requests([name]).first??.state == .waiting }
            waiting.cancel()
            await #expect { try await waiting.value } throws: { ($0 as? ReservationError)?.code == .cancelled }
            try await waitUntil("Ann has left") { try await store.requests([name]).first??.state == .withdrawn }
            gate.open()
            #expect(try await rig.outcome(of: "bob") == "held")
        }
    }

    @Test("Who asks twice, and stops waiting once, still waits")
    func cancelledTwin() async throws {
        let gate = Gate()
        let store = ProbedQueueStore(InMemoryReservationStore(), closedBy: gate)
        try await withQueueRig(store: store) { rig, _ in
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 1)
            let ask = { @Sendable in
                Task { try await rig.service.reserve([Line(.counted("shirt"))], for: "ann", key: "k") }
            }
            let first = ask()
            let name = RequestName(caller: "ann", key: "k")
            try await waitUntil("Ann waits") { rig.line.board.present(in: 0) + rig.line.board.present(in: 1) == [name] }
            let second = ask()
            try await waitUntil("Ann waits twice") { rig.line.board.observers(of: name) == 2 }
            first.cancel()
            _ = try? await first.value
            gate.open()
            #expect(try await second.value.state == .held)
        }
    }

    @Test("Who would wait for too long leaves the line and is told to come again")
    func waitsTooLong() async throws {
        let gate = Gate()
        let store = ProbedQueueStore(InMemoryReservationStore(), closedBy: gate)
        try await withQueueRig(store: store, { $0.maximumWait = .seconds(1) }) { rig, _ in
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 1)
            await #expect {
                try await rig.service.reserve([Line(.counted("shirt"))], for: "ann", key: "k")
            } throws: { ($0 as? ReservationError)?.code.name == "busy" }
            #expect(try await store.requests([RequestName(caller: "ann", key: "k")]).first??.state == .withdrawn)
            gate.open()
            #expect(try await rig.outcome(of: "bob") == "held")
        }
    }

    @Test("Many who look at their tickets: each is looked up a few times, however long the line")
    func manyTickets() async throws {
        let gate = Gate()
        let store = ProbedQueueStore(InMemoryReservationStore(), closedBy: gate)
        let count = 2_000
        try await withQueueRig(store: store, { $0.maximumBatch = 20 }) { rig, _ in
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 10)
            let tickets = try await withThrowingTaskGroup(of: Ticket.self) { group in
                for buyer in 0..<count { group.addTask { try await rig.submit("buyer-\(buyer)") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            async let outcomes = QueueRig.outcomes(tickets)
            try await waitUntil("all look") {
                (0..<2).reduce(0) { $0 + rig.line.board.present(in: $1).count } == count
            }
            gate.open()
            let counts = await outcomes.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            #expect(counts == ["held": 10, "out-of-stock": count - 10])
            #expect(store.requestsAsked < count * 6, "\(store.requestsAsked) look-ups for \(count) tickets")
        }
    }

    @Test("A line that was stopped runs again: who waits then is told")
    func runsAgain() async throws {
        try await RedisTestServer.with { server in
            let locks = try RedisLocks(.node(server.url))
            let rig = try QueueRig(store: InMemoryReservationStore(), queue: InMemoryReservationQueue(), locks: locks)
            try await rig.store.stock(.counted("shirt"), 5)
            for buyer in ["ann", "bob"] {
                let outcome = try await rig.running { try await $0.outcome(of: buyer) }
                #expect(outcome == "held")
                await #expect {
                    try await rig.submit("cid")
                } throws: { ($0 as? ReservationError)?.code == .lineClosed }
            }
            await locks.shutdown()
        }
    }
}
