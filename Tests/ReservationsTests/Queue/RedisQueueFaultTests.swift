import InMemoryLogging
import Logging
import ReservationStoreConformance
import Reservations
import Synchronization
import TestSupport
import Testing

@Suite("A queue on Redis, and what servers and networks do to it", .timeLimit(.minutes(2)))
struct RedisQueueFaultTests {
    /// Commands over one connection, announcements over another.
    private struct Split: QueueWrapper {
        let inner: RedisStreamQueue
        let announced: RedisStreamQueue

        func announcements(of partition: Int) async -> AsyncStream<QueueProgress> {
            await announced.announcements(of: partition)
        }
    }

    /// Does something else to each of the first requests or replies that come after the handshake.
    private final class Trouble: Sendable {
        private let left: Countdown
        private let generator: Mutex<SeededGenerator>

        init(_ count: Int, seed: UInt64) {
            left = Countdown(count)
            generator = Mutex(SeededGenerator(seed: seed))
        }

        var isOver: Bool { left.isOver }

        func verdict(_ verdicts: [FaultProxy.Verdict], for request: FaultProxy.Request) -> FaultProxy.Verdict {
            let commands = ["XADD", "XREAD", "XINFO", "XTRIM", "PUBLISH", "ZREM", "TIME", "ZMSCORE"]
            guard let command = request.arguments.first, commands.contains(command.uppercased()) else { return .pass }
            return generator.withLock { generator in
                guard Int.random(in: 0..<3, using: &generator) == 0, left.take() else { return .pass }
                return verdicts.randomElement(using: &generator) ?? .pass
            }
        }
    }

    @Test(
        "Requests that come twice, connections that break, answers that come late or never: all are decided, once",
        arguments: [1, 2, 3] as [UInt64])
    func network(seed: UInt64) async throws {
        let (stock, buyers) = (60, 90)
        let decided = Mutex<[RequestName]>([])
        let memory = InMemoryReservationStore()
        let store = ProbedQueueStore(
            memory,
            onDecided: { outcome in
                guard case .decided(_, let verdicts) = outcome else { return }
                decided.withLock { $0 += verdicts.map(\.request) }
            })
        let requests = Trouble(30, seed: seed)
        let replies = Trouble(30, seed: seed + 100)
        try await RedisTestServer.with { server in
            try await FaultProxy.with(to: UInt16(server.port)) { proxy in
                proxy.set(.requests) { requests.verdict([.duplicate, .cut, .delay(.milliseconds(5))], for: $0) }
                proxy.set(.replies) { replies.verdict([.cut, .reset, .delay(.milliseconds(5))], for: $0) }
                let queue = Split(
                    inner: try RedisStreamQueue(proxy.url), announced: try RedisStreamQueue(server.url))
                try await QueueRig.with(
                    store, queue, server,
                    {
                        $0.maximumBatch = 5
                        $0.intakeGrace = .seconds(1)
                    }
                ) { rig in
                    try await memory.stock(.counted("shirt"), stock)
                    let outcomes = await QueueRig.outcomes(try await rig.submit(buyers))
                    let counts = outcomes.reduce(into: [:]) { $0[$1, default: 0] += 1 }
                    #expect(counts == ["held": stock, "out-of-stock": buyers - stock])
                }
                await queue.inner.close()
                await queue.announced.close()
            }
        }
        let names = decided.withLock { $0 }
        #expect(names.count == buyers && Set(names).count == buyers, "Somebody was decided on twice, or not at all.")
        #expect(try await memory.states(of: [.counted("shirt")]).map(\.held) == [stock])
        #expect(try await memory.audit(grace: .seconds(5)).isClean)
    }

    @Test("A server that refuses announcements is told of once, whatever is subscribed to")
    func refused() async throws {
        var options = RedisTestServer.Options()
        options.users = ["worker on >s3cret ~* resetchannels -@all +hello +auth +client +ping"]
        let handler = InMemoryLogHandler()
        try await RedisTestServer.with(options) { server in
            let queue = try RedisStreamQueue(
                server.url(user: "worker", password: "s3cret"), logger: Logger(label: "test") { _ in handler })
            // Each ends by itself, also when it is asked for again.
            for partition in [0, 1, 2, 0] { for await _ in await queue.announcements(of: partition) {} }
            await queue.close()
        }
        let told = handler.entries.filter { $0.level == .error }
        #expect(told.count == 1, "\(told)")
        #expect(told.first?.metadata["error"].map { "\($0)" }?.contains("s3cret") == false)
    }

    #if os(Linux)
        @Test("A server's clock that jumps makes nobody silent who was heard")
        func clockJumps() async throws {
            let shim = try ClockShim()
            var options = RedisTestServer.Options()
            shim.preload(into: &options)
            try await RedisTestServer.with(options) { server in
                let queue = try RedisStreamQueue(server.url)
                for caller in ["ann", "bob"] {
                    // Who came long ago, so that it matters whether he was heard since.
                    try server.command(
                        "XADD", "{rsv:q:0}", "\(1_000 + (caller == "bob" ? 1 : 0))-0", "c", caller, "k", "k")
                }
                try await queue.touch([RequestName(caller: "ann", key: "k")], in: 0)
                let entries = try await queue.read(0, after: .start, limit: 10, wait: .seconds(1))
                let silent = { try await queue.silent(among: entries, of: 0, for: .seconds(60)).map(\.caller) }
                #expect(try await silent() == ["bob"])
                try shim.jump(by: .seconds(3_600))
                #expect(try await silent() == [])
                // Nor is anybody, until all have had the time to be heard again.
                #expect(try await silent() == [])
                await queue.close()
            }
        }
    #endif
}
