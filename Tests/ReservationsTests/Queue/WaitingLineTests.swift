import Metrics
import MetricsTestKit
import RedisLocks
import ReservationStoreConformance
import Reservations
import Synchronization
import TestSupport
import Testing

@Suite("The waiting line", .timeLimit(.minutes(2)))
struct WaitingLineTests {
    @Test("A lone request is decided at once")
    func alone() async throws {
        try await withQueueRig { rig, _ in
            try await rig.store.stock(.counted("shirt"), 1)
            let held = try await rig.service.reserve([Line(.counted("shirt"))], for: "ann", key: "1")
            #expect(held.state == .held)
            #expect(held.holder == "ann")
            await #expect {
                try await rig.service.reserve([Line(.counted("shirt"))], for: "bob", key: "1")
            } throws: { ($0 as? ReservationError)?.code.name == "out-of-stock" }
            #expect(try await rig.store.audit(grace: .seconds(5)).isClean)
        }
    }

    @Test("A thousand who want a hundred: a hundred have one, all others are told, in one line")
    func rush() async throws {
        try await withQueueRig { rig, _ in
            try await rig.store.stock(.counted("shirt"), 100)
            let outcomes = await withTaskGroup(of: String.self) { group in
                for buyer in 0..<1_000 {
                    group.addTask {
                        do throws(ReservationError) {
                            return try await rig.service.reserve(
                                [Line(.counted("shirt"))], for: "buyer-\(buyer)", key: "k"
                            ).state.rawValue
                        } catch {
                            return error.code.name
                        }
                    }
                }
                return await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            }
            #expect(outcomes == ["held": 100, "out-of-stock": 900])
            let state = try await rig.store.states(of: [.counted("shirt")])
            #expect(state.map(\.held) == [100])
            #expect(try await rig.store.audit(grace: .seconds(5)).isClean)
        }
    }

    @Test("Outcomes are counted as with every strategy")
    func counting() async throws {
        let metrics = TestMetrics()
        try await withMetricsFactory(metrics) {
            try await withQueueRig { rig, _ in
                try await rig.store.stock(.counted("shirt"), 1)
                for buyer in ["ann", "ann", "bob"] {
                    _ = try? await rig.service.reserve([Line(.counted("shirt"))], for: buyer, key: "k")
                }
            }
        }
        for outcome in ["held", "replayed", "out-of-stock"] {
            let counter = try metrics.expectCounter(
                "reservations_outcomes_total",
                [("operation", "reserve"), ("outcome", outcome), ("strategy", "queued")])
            #expect(counter.totalValue == 1, "\(outcome)")
        }
    }

    @Test("Before a line is open, and when it has ended, it says so, and that it is worth another try")
    func closed() async throws {
        try await RedisTestServer.with { server in
            let locks = try RedisLocks(.node(server.url))
            let store = InMemoryReservationStore()
            try await store.stock(.counted("shirt"), 2)
            let rig = try QueueRig(store: store, queue: InMemoryReservationQueue(), locks: locks)
            let refusals = { () async -> [ReservationError?] in
                var errors: [ReservationError?] = []
                for isReserving in [false, true] {
                    do throws(ReservationError) {
                        if isReserving {
                            _ = try await rig.service.reserve([Line(.counted("shirt"))], for: "ann", key: "k")
                        } else {
                            _ = try await rig.service.submit([Line(.counted("shirt"))], for: "ann", key: "k")
                        }
                        errors.append(nil)
                    } catch {
                        errors.append(error)
                    }
                }
                return errors
            }
            let early = await refusals()
            #expect(try await rig.running { try await $0.outcome(of: "ann") } == "held")
            let late = await refusals()
            for error in early + late {
                #expect(error?.code == .lineClosed)
                #expect(error?.isRetryable == true)
                #expect((error?.retryAfter ?? .zero) >= .seconds(1))
            }
            #expect(early.first??.message != late.first??.message)
            await locks.shutdown()
        }
    }

    @Test("How far a line is behind is told, and who has waited for too long is sent away")
    func lag() async throws {
        let gate = Gate()
        let store = ProbedQueueStore(InMemoryReservationStore(), closedBy: gate)
        try await withQueueRig(store: store, { $0.maximumWait = .seconds(1) }) { rig, _ in
            defer { gate.open() }
            try await rig.store.stock(.counted("shirt"), 9)
            #expect(try await rig.line.lag() == [LineLag](repeating: LineLag(waiting: 0, oldest: nil), count: 2))
            let tickets = try await rig.submit(3)
            let lag = try await rig.line.lag()
            #expect(lag.map(\.waiting).sorted() == [0, 3])
            #expect(lag.compactMap(\.oldest).count == 1)
            #expect(await rig.reserved("zoe") == "busy")
            gate.open()
            #expect(await QueueRig.outcomes(tickets) == ["held", "held", "held"])
            #expect(try await rig.line.lag().map(\.waiting) == [0, 0])
        }
    }

    @Test("Whoever came first is served first")
    func order() async throws {
        try await withQueueRig { rig, _ in
            try await rig.store.stock(.counted("shirt"), 3)
            var tickets: [Ticket] = []
            for buyer in 0..<6 {
                guard
                    case .queued(let ticket) = try await rig.service.submit(
                        [Line(.counted("shirt"))], for: "buyer-\(buyer)", key: "k")
                else { return #expect(Bool(false), "There is a line.") }
                tickets.append(ticket)
            }
            var held: [String] = []
            for ticket in tickets {
                if let reservation = try? await ticket.reservation() { held.append(reservation.holder) }
            }
            #expect(held == ["buyer-0", "buyer-1", "buyer-2"])
        }
    }
}
