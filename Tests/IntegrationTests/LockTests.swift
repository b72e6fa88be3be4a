import TestSupport
import Testing

@testable import RedisLocks

@Suite("A lock on one Redis server", .timeLimit(.minutes(2)))
struct LockTests {
    @Test("A lease is a key with the name, an owner value and an expiry, beside a fencing counter")
    func keys() async throws {
        try await withLocks { server, locks in
            let lease = try await locks.acquire("seat:A12", ttl: .seconds(60))
            #expect(try server.command("GET", "seat:A12").count == 40)
            let remaining = try #require(Int(server.command("PTTL", "seat:A12")))
            #expect((1...60_000).contains(remaining))
            #expect(try server.command("GET", "{seat:A12}:fence") == "\(lease.fencingToken)")
            let expiry = try #require(Int(server.command("PTTL", "{seat:A12}:fence")))
            #expect(expiry > 6 * 86_400_000)
            #expect(lease.name == "seat:A12")
            #expect(lease.isValid && lease.remaining > .zero && lease.remaining <= .seconds(60))

            try await lease.release()
            #expect(try server.command("EXISTS", "seat:A12") == "0")
            #expect(try server.command("EXISTS", "{seat:A12}:fence") == "1")
            #expect(!lease.isValid && lease.remaining == .zero)
            #expect(try server.command("EXISTS", LockName.bootKey) == "0", "the restart guard is off for one node")
        }
    }

    @Test("Acquire and release are one command and one round trip each")
    func roundTrips() async throws {
        try await withLocks(configuration: .patient) { server, locks in
            try await locks.connect()
            let before = try server.commandCounts()
            for _ in 0..<50 {
                try await locks.withLock("counted") { _ in }
            }
            let after = try server.commandCounts()
            #expect(after["evalsha", default: 0] - before["evalsha", default: 0] == 100)
            #expect(after["eval", default: 0] == before["eval", default: 0])
            // What scripts call is counted as well; nothing else was sent.
            let inner: Set = ["evalsha", "time", "get", "set", "del", "info"]
            for (command, count) in after where !inner.contains(command) {
                #expect(count == before[command, default: 0], "\(command)")
            }
        }
    }

    @Test("Tokens of one name rise with every grant, across clients and after a release")
    func tokens() async throws {
        try await withLocks { server, locks in
            try await RedisLocks.with(.node(server.url)) { other in
                var tokens: [Int64] = []
                for round in 0..<20 {
                    let client = round.isMultiple(of: 2) ? locks : other
                    tokens.append(try await client.withLock("t") { $0.fencingToken })
                }
                #expect(zip(tokens, tokens.dropFirst()).allSatisfy { $0 < $1 })
                #expect(tokens.allSatisfy { $0 < 1 << 53 })
            }
        }
    }

    @Test("What somebody else holds is nil at once, and an error after the budget")
    func contention() async throws {
        try await withLocks(configuration: .patient) { server, locks in
            #expect(try server.command("SET", "taken", "foreign", "PX", "60000") == "OK")
            #expect(try await locks.withLockIfAvailable("taken") { _ in 1 } == nil)
            #expect(try await locks.acquireIfAvailable("taken") == nil)
            let error = try await #require(throws: LockError.self) {
                try await locks.withLock("taken", wait: .upTo(.milliseconds(50))) { _ in }
            }
            #expect(error.code == .waitTimedOut)
            guard case .heldByOther(.some(let remaining)) = error.nodes.first?.outcome else {
                Issue.record("\(error)")
                return
            }
            #expect(remaining > .zero && remaining <= .seconds(60))
            #expect(try server.command("GET", "taken") == "foreign", "nobody else's key is touched")
            #expect(try await locks.withLockIfAvailable("free") { $0.fencingToken } != nil)
        }
    }

    @Test("A key without expiry is waited for until it is deleted")
    func foreignKeyWithoutExpiry() async throws {
        try await withLocks { server, locks in
            #expect(try server.command("SET", "stuck", "foreign") == "OK")
            async let waiting = locks.acquire("stuck", wait: .upTo(.seconds(120)))
            try await waitUntil("the waiter has asked") {
                try server.commandCounts()["evalsha", default: 0] >= 2
            }
            #expect(try server.command("DEL", "stuck") == "1")
            let lease = try await waiting
            #expect(lease.isValid)
            try await lease.release()
        }
    }

    @Test("Several names are taken together or not at all, under one token")
    func severalNames() async throws {
        try await withLocks(configuration: .patient) { server, locks in
            let single = try await locks.withLock("b") { $0.fencingToken }
            let lease = try await locks.acquire(["a", "b", "c"])
            #expect(lease.names == ["a", "b", "c"])
            #expect(lease.fencingToken > single)
            for name in lease.names {
                #expect(try server.command("GET", "{\(name)}:fence") == "\(lease.fencingToken)")
            }
            try await RedisLocks.with(.node(server.url), configuration: .patient) { other in
                #expect(try await other.acquireIfAvailable("c") == nil)
                let error = try await #require(throws: LockError.self) {
                    _ = try await other.acquire(["d", "c"], wait: .upTo(.milliseconds(20)))
                }
                #expect(error.code == .waitTimedOut)
                #expect(try server.command("EXISTS", "d") == "0", "all or nothing")
            }
            try await lease.release()
            #expect(try server.command("EXISTS", "a", "b", "c") == "0")
        }
    }

    @Test("The value and the error of the body come through, and the lock is released either way")
    func bodies() async throws {
        try await withLocks { server, locks in
            let value = try await locks.withLock("x") { _ in "value" }
            #expect(value == "value")
            let afterValue = try server.command("EXISTS", "x")
            #expect(afterValue == "0")
            let error = try await #require(throws: BodyFailure.self) {
                try await locks.withLock("x") { _ in throw BodyFailure(number: 7) }
            }
            #expect(error.number == 7)
            let afterError = try server.command("EXISTS", "x")
            #expect(afterError == "0")
        }
    }

    @Test("A second release is an error, and leaves a new holder alone")
    func doubleRelease() async throws {
        try await withLocks { server, locks in
            let first = try await locks.acquire("x")
            try await first.release()
            let second = try await locks.acquire("x")
            let error = try await #require(throws: LockError.self) { try await first.release() }
            #expect(error.code == .notHeld)
            #expect(second.isValid)
            #expect(try server.command("EXISTS", "x") == "1")
            try await second.release()
        }
    }

    @Test("status reads and changes nothing; breakLock takes the lock away and keeps the fence")
    func operators() async throws {
        try await withLocks(configuration: .patient) { server, locks in
            #expect(try await locks.status(of: "x").isHeld == false)
            let lease = try await locks.acquire("x", ttl: .seconds(60))
            let status = try await locks.status(of: "x")
            #expect(status.isHeld == true)
            #expect(status.nodes.first?.fence == lease.fencingToken)
            guard case .held(.some(let remaining)) = status.nodes.first?.state else {
                Issue.record("\(status)")
                return
            }
            #expect(remaining > .zero && remaining <= .seconds(60))
            #expect(try await locks.breakLock("x"))
            #expect(try await !locks.breakLock("x"))
            #expect(try await locks.status(of: "x").nodes.first?.fence == lease.fencingToken)
            let next = try await locks.acquireIfAvailable("x")
            #expect(next == nil, "in this process the lease is believed until its next renewal")
            let error = try await #require(throws: LockError.self) { try await lease.release() }
            #expect(error.code == .leaseLost(.taken))
        }
    }

    @Test("A name inside its own body fails at once; a task that outlives the body may ask")
    func reentrancy() async throws {
        try await withLocks { _, locks in
            let (escaped, token) = try await locks.withLock("outer") { lease in
                let error = await #expect(throws: LockError.self) {
                    try await locks.withLock("outer") { _ in }
                }
                #expect(error?.code == .reentrant)
                let set = await #expect(throws: LockError.self) { try await locks.acquire(["inner", "outer"]) }
                #expect(set?.code == .reentrant)
                try await locks.withLock("inner") { _ in }
                let escaped = Task { () -> Int64 in
                    _ = await lease.lost()
                    return try await locks.withLock("outer") { $0.fencingToken }
                }
                return (escaped, lease.fencingToken)
            }
            #expect(try await escaped.value > token)
        }
    }
}

private struct BodyFailure: Error {
    let number: Int
}

extension RedisLocks.Configuration {
    /// For tests that count requests, or ask once: a machine that stands still for seconds must not cause a repetition.
    static var patient: RedisLocks.Configuration {
        var configuration = RedisLocks.Configuration()
        configuration.ttl = .seconds(60)
        configuration.nodeTimeout = .seconds(15)
        configuration.connectTimeout = .seconds(20)
        return configuration
    }
}

/// A private server and a client of it.
func withLocks(
    _ options: RedisTestServer.Options = .init(),
    configuration: RedisLocks.Configuration = .init(),
    _ body: (RedisTestServer, RedisLocks) async throws -> Void
) async throws {
    try await RedisTestServer.with(options) { server in
        try await RedisLocks.with(.node(server.url), configuration: configuration) { locks in
            try await body(server, locks)
        }
    }
}
