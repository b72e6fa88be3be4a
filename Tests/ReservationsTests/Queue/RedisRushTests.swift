import RedisLocks
import ReservationStoreConformance
import Reservations
import Synchronization
import TestSupport
import Testing

@Suite("A rush whose Redis loses its memory", .timeLimit(.minutes(2)))
struct RedisRushTests {
    enum Loss: String, CaseIterable, Sendable {
        /// While everybody is connected.
        case flush
        case restartEmpty
        /// With its append-only file.
        case restart

        func happen(to server: RedisTestServer) throws {
            switch self {
            case .flush: try server.command("FLUSHALL")
            case .restartEmpty: try server.restartEmpty()
            case .restart: try server.restart()
            }
        }
    }

    @Test(
        "All are decided, exactly the stock is sold, and who was not lost is served in order", arguments: Loss.allCases)
    func rush(loss: Loss) async throws {
        let (stock, before, after) = (150, 200, 100)
        var options = RedisTestServer.Options()
        options.isPersistent = true
        let order = Mutex<[String]>([])
        let reached = Gate()
        let memory = InMemoryReservationStore()
        let store = ProbedQueueStore(
            memory,
            onDecided: { outcome in
                guard case .decided(_, let verdicts) = outcome else { return }
                let count = order.withLock { order in
                    order += verdicts.map(\.request.caller)
                    return order.count
                }
                if count >= 40 { reached.open() }
            })
        try await RedisTestServer.with(options) { server in
            let queue = try RedisStreamQueue(server.url)
            try await QueueRig.with(
                store, queue, server, ttl: .milliseconds(700),
                {
                    $0.maximumBatch = 5
                    $0.intakeGrace = .seconds(1)
                }
            ) { rig in
                try await memory.stock(.counted("shirt"), stock)
                var tickets = try await rig.submit(before)
                await reached.wait()
                try await RedisTestServer.blocking { try loss.happen(to: server) }
                for buyer in before..<before + after { tickets.append(try await rig.submit("buyer-\(buyer)")) }
                let outcomes = await QueueRig.outcomes(tickets).reduce(into: [:]) { $0[$1, default: 0] += 1 }
                #expect(outcomes == ["held": stock, "out-of-stock": before + after - stock])
            }
            await queue.close()
        }
        let decided = order.withLock { $0 }
        #expect(Set(decided).count == decided.count, "Somebody was decided on twice.")
        #expect(decided.count == before + after)
        let numbers = decided.compactMap { Int($0.dropFirst("buyer-".count)) }
        if loss == .restart { #expect(numbers == Array(0..<before + after)) }
        // Those who were before the loss keep their order among each other, whatever has come between them.
        let early = numbers.filter { $0 < before }
        #expect(early == early.sorted())
        #expect(try await memory.states(of: [.counted("shirt")]).map(\.held) == [stock])
        #expect(try await memory.audit(grace: .seconds(5)).isClean)
    }
}
