import RedisLocks
import TestSupport
import Testing

/// A quorum of real servers in plain use. What is done to it by faults stands in the files beside this.
@Suite("A quorum of real servers", .timeLimit(.minutes(2)))
struct QuorumTests {
    @Test("Acquire and release are one command for each node and each")
    func commandCounts() async throws {
        try await withQuorum(3) { servers, locks in
            try await locks.acquire("warm").release()
            // The nodes agree on tokens, also across the end of a second: nothing has to be confirmed.
            for server in servers { _ = try server.command("SET", "{job}:fence", "\(farAhead)") }
            let before = try servers.map { try $0.commandCounts()["evalsha"] ?? 0 }
            for _ in 0..<10 { try await locks.acquire("job").release() }
            // An acquire returns when two have answered. The third may still have the last release before it.
            _ = try await locks.status(of: "job")
            let after = try servers.map { try $0.commandCounts()["evalsha"] ?? 0 }
            #expect(zip(after, before).map { $0 - $1 } == [20, 20, 20])
        }
    }

    @Test("One server under two names is found out by its run_id, and does not vote twice")
    func sameServerTwice() async throws {
        try await RedisTestServer.with { server in
            let urls = ["redis://127.0.0.1:\(server.port)", "redis://localhost:\(server.port)"]
            var configuration = RedisLocks.Configuration()
            configuration.connectTimeout = .seconds(30)
            try await RedisLocks.with(.redlock(urls), configuration: configuration) { locks in
                let error = await #expect(throws: LockError.self) { try await locks.connect() }
                #expect(error?.code == .misconfigured)
                #expect("\(error as Any)".contains("is the same server as node"))
            }
        }
    }

    @Test("New servers do not vote until they are told that they are new, or the quarantine is over")
    func newServers() async throws {
        try await withServers(3) { servers in
            var configuration = RedisLocks.Configuration()
            // Long enough for a machine that stands still for a moment.
            configuration.maximumTTL = .seconds(4)
            configuration.ttl = .seconds(4)
            configuration.nodeTimeout = .milliseconds(1_300)
            try await RedisLocks.with(.redlock(servers.map(\.url)), configuration: configuration) { locks in
                let error = await #expect(throws: LockError.self) { try await locks.acquire("job", wait: .upTo(.zero)) }
                #expect(error?.code == .quorumUnreachable)
                #expect(error?.message.contains("redislock init") == true)
                let status = try await locks.status(of: "job")
                #expect(
                    status.nodes.allSatisfy {
                        $0.quarantine.map { $0 > .zero && $0 <= .milliseconds(6_040) } == true
                    })
                // It ends by itself.
                try await locks.acquire("job", wait: .upTo(.seconds(30))).release()
            }
            try await RedisLocks.with(.redlock(servers.map(\.url))) { locks in
                let outcomes = try await locks.initializeNodes().map(\.outcome)
                #expect(outcomes == Array(repeating: .refused(counter: "{job}:fence"), count: 3))
            }
            for server in servers { try server.command("FLUSHALL") }
            try await RedisLocks.with(.redlock(servers.map(\.url))) { locks in
                let outcomes = try await locks.initializeNodes().map(\.outcome)
                #expect(outcomes == [.initialized, .initialized, .initialized])
                try await locks.acquire("job", wait: .upTo(.zero)).release()
                #expect(try await locks.status(of: "job").nodes.allSatisfy { $0.quarantine == nil })
            }
        }
    }

    @Test("A server that is said to be durable but has no append-only file is refused")
    func notDurable() async throws {
        try await RedisTestServer.with { server in
            try await RedisLocks.with(.node(server.url, isDurable: true)) { locks in
                let error = await #expect(throws: LockError.self) { try await locks.connect() }
                #expect(error?.code == .misconfigured)
                #expect("\(error as Any)".contains("appendonly yes"))
            }
        }
    }

    @Test("A minority that refuses to serve is tolerated by connect, and told to the log", arguments: [1, 2])
    func refusingNodes(count: Int) async throws {
        try await withServers(3) { servers in
            for server in servers.prefix(count) { try server.command("CONFIG", "SET", "requirepass", "secret") }
            try await RedisLocks.with(.redlock(servers.map(\.url))) { locks in
                let error: LockError?
                do throws(LockError) {
                    try await locks.connect()
                    error = nil
                } catch let refusal {
                    error = refusal
                }
                #expect(error?.code == (count == 1 ? nil : .misconfigured))
            }
        }
    }
}

/// Servers that are gone when `body` returns, started side by side.
func withServers<Value: Sendable>(
    _ count: Int, _ options: RedisTestServer.Options = RedisTestServer.Options(),
    _ body: ([RedisTestServer]) async throws -> Value
) async throws -> Value {
    let servers = try await withThrowingTaskGroup(of: (Int, RedisTestServer).self) { group in
        for index in 0..<count { group.addTask { (index, try await RedisTestServer.started(options)) } }
        return try await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
    }
    defer { for server in servers { server.cleanUp() } }
    return try await body(servers)
}

/// A client over new servers that have been told so.
func withQuorum<Value: Sendable>(
    _ count: Int, configuration: RedisLocks.Configuration = RedisLocks.Configuration(),
    _ body: ([RedisTestServer], RedisLocks) async throws -> Value
) async throws -> Value {
    try await withServers(count) { servers in
        try await RedisLocks.with(.redlock(servers.map(\.url)), configuration: configuration) { locks in
            for node in try await locks.initializeNodes() { #expect(node.outcome == .initialized) }
            return try await body(servers, locks)
        }
    }
}
