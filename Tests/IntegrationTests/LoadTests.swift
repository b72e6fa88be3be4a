import TestSupport
import Testing

@testable import RedisLocks

@Suite("Many at once", .timeLimit(.minutes(5)))
struct LoadTests {
    @Test("A thousand tasks on one name: one at a time, in the order in which they asked, without polling")
    func thousandWaiters() async throws {
        try await withLocks(configuration: .patient) { server, locks in
            try await locks.connect()
            let before = try server.commandCounts()["evalsha", default: 0]
            let log = VisitLog()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<1000 {
                    group.addTask {
                        try await locks.withLock("hot", wait: .upTo(.seconds(120))) { lease in
                            log.enter(lease.fencingToken)
                            await Task.yield()
                            log.leave()
                        }
                    }
                }
                try await group.waitForAll()
            }
            let (overlaps, tokens) = (log.overlaps, log.tokens)
            #expect(overlaps == 0)
            #expect(tokens.count == 1000)
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy { $0 < $1 })
            let sent = try server.commandCounts()["evalsha", default: 0] - before
            #expect(sent == 2000, "one acquire and one release each")
            #expect(try server.command("EXISTS", "hot") == "0")
        }
    }

    @Test("A thousand leases are renewed by one process")
    func thousandLeases() async throws {
        try await withLocks { server, locks in
            let leases = try await withThrowingTaskGroup(of: Lease.self) { group in
                for index in 0..<1000 {
                    group.addTask { try await locks.acquire("lease:\(index)", ttl: .seconds(15)) }
                }
                var leases: [Lease] = []
                for try await lease in group { leases.append(lease) }
                return leases
            }
            #expect(leases.count == 1000)
            let renewed = await withTaskGroup(of: Bool.self) { group in
                for lease in leases {
                    group.addTask {
                        for await event in lease.events {
                            if case .renewed = event { return true }
                        }
                        return false
                    }
                }
                var count = 0
                for await wasRenewed in group where wasRenewed { count += 1 }
                return count
            }
            #expect(renewed == 1000)
            let stillValid = leases.count { $0.isValid }
            #expect(stillValid == 1000)
            for lease in leases { try await lease.release() }
            #expect(try server.command("DBSIZE") == "1000", "a counter each, and no lock")
        }
    }

    @Test("Processes that fight for a name exclude each other")
    func clients() async throws {
        try await RedisTestServer.with { server in
            let log = VisitLog()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 {
                    group.addTask {
                        // A client of its own stands for a process: nothing is shared but the server.
                        try await RedisLocks.with(.node(server.url)) { locks in
                            for _ in 0..<25 {
                                try await locks.withLock("hot", wait: .upTo(.seconds(120))) { lease in
                                    log.enter(lease.fencingToken)
                                    await Task.yield()
                                    log.leave()
                                }
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let (overlaps, tokens) = (log.overlaps, log.tokens)
            #expect(overlaps == 0)
            #expect(tokens.count == 200)
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy { $0 < $1 })
        }
    }

    @Test("Cancelled waiters leave no key, and those behind them are served")
    func cancelStorm() async throws {
        try await withLocks { server, locks in
            try await withThrowingTaskGroup(of: Bool.self) { group in
                for _ in 0..<200 {
                    group.addTask {
                        do {
                            try await locks.withLock("hot", wait: .upTo(.seconds(60))) { _ in await Task.yield() }
                            return true
                        } catch is CancellationError {
                            return false
                        }
                    }
                }
                _ = try await group.next()
                group.cancelAll()
                for try await _ in group {}
            }
            // Whatever they had sent is behind us on the same connection.
            #expect(try await locks.status(of: "hot").isHeld == false)
            try await locks.withLock("hot", wait: .upTo(.zero)) { _ in }
        }
    }

    @Test("An idle client does not wake up")
    func idle() async throws {
        try await withLocks { _, locks in
            try await locks.withLock("x") { _ in }
            let reactor = locks.core.engine.runtime.reactor
            try await Task.sleep(for: .milliseconds(200))  // sleep: that nothing happens is the subject
            let before = reactor.wakeUpCount
            try await Task.sleep(for: .seconds(1))  // sleep: as above
            #expect(reactor.wakeUpCount == before)
        }
    }
}
