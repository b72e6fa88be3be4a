import TestSupport
import Testing

@testable import RedisLocks

/// The documentation's table of errors, acquire by acquire. What servers say is from their sources.
@Suite("Errors, and what an acquire does about them", .timeLimit(.minutes(2)))
struct ErrorTableTests {
    @Test(
        "Not applied: the next attempt has a new owner value, and nothing is taken back",
        arguments: [
            "MOVED 3999 127.0.0.1:6381", "ASK 3999 127.0.0.1:6381",
            "TRYAGAIN Multiple keys request during rehashing of slot",
            "CLUSTERDOWN The cluster is down", "READONLY You can't write against a read only replica.",
            "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
            "REDIRECT 127.0.0.1:6380", "LOADING Redis is loading the dataset in memory",
            "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
            "NOREPLICAS Not enough good replicas to write.",
            "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
            "OOM command not allowed when used memory > 'maxmemory'.", "ERR max number of clients reached",
        ])
    func notApplied(line: String) async throws {
        let node = try await withFakeNode { request, earlier in
            request.script == .acquire && earlier < 2 ? .error(line) : .healthy(request.script)
        } body: { _, locks in
            try await locks.acquire("x").release()
        }
        let acquires = node.requests(.acquire)
        #expect(acquires.count == 3)
        #expect(Set(acquires.map(\.owner)).count == 3)
        #expect(node.requests(.release).map(\.owner) == acquires.suffix(1).map(\.owner))
        let drops = ["READONLY", "MASTERDOWN", "REDIRECT"].contains { line.hasPrefix($0) }
        #expect(acquires.map(\.connection) == (drops ? [1, 2, 3] : [1, 1, 1]))
    }

    @Test("A script that the server does not know is sent as text, with the same owner value, on the same connection")
    func noScript() async throws {
        let node = try await withFakeNode { request, _ in
            request.isBySource ? .healthy(request.script) : .error("NOSCRIPT No matching script. Please use EVAL.")
        } body: { _, locks in
            try await locks.acquire("x").release()
        }
        #expect(node.requestsBesidesRenewals.map(\.script) == [.acquire, .acquire, .release, .release])
        #expect(node.requestsBesidesRenewals.map(\.isBySource) == [false, true, false, true])
        #expect(Set(node.requests.map(\.owner)).count == 1)
        #expect(node.connectionCount == 1)
    }

    @Test(
        "A setting fails at once, whatever the wait: one request, and none to clean up",
        arguments: [
            "NOAUTH Authentication required.", "WRONGPASS invalid username-password pair or user is disabled.",
            "NOPERM this user has no permissions to run the 'evalsha' command",
            "ERR The user executing the script can't run this command or subcommand script: 12, on @user_script:3.",
            "WRONGTYPE Operation against a key holding the wrong kind of value", "CORRUPT fencing counter",
            "EXHAUSTED fencing counter", "DENIED Redis is running in protected mode", "CROSSSLOT Keys in request",
        ])
    func settings(line: String) async throws {
        let node = try await withFakeNode { request, _ in
            .error(line)
        } body: { _, locks in
            let error = try await #require(throws: LockError.self) {
                _ = try await locks.acquire("x", wait: .upTo(.seconds(3600)))
            }
            #expect(error.code == .misconfigured)
            let word = line.prefix { $0 != " " }
            #expect("\(error)".contains(word), "the server's words")
        }
        #expect(node.requests.map(\.script) == [.acquire])
    }

    @Test("Ambiguous: the same owner value is sent again, and \"already yours\" is the grant", arguments: Ambiguity.all)
    func ambiguous(_ ambiguity: Ambiguity) async throws {
        let node = try await withFakeNode(ambiguity.configuration) { request, earlier in
            guard request.script == .acquire else { return .healthy(request.script) }
            return earlier < 2 ? ambiguity.answer : .alreadyOurs(77)
        } body: { _, locks in
            let lease = try await locks.acquire("x", wait: .upTo(.seconds(60)))
            #expect(lease.fencingToken == 77)
            #expect(lease.isValid)
            try await lease.release()
        }
        #expect(node.requests(.acquire).count >= 3)
        #expect(Set(node.requests.map(\.owner)).count == 1, "the release's among them")
    }

    @Test("Ambiguous to the end: repeated at least once, and a RELEASE goes out behind it", arguments: Ambiguity.all)
    func ambiguousToTheEnd(_ ambiguity: Ambiguity) async throws {
        let node = try await withFakeNode(ambiguity.configuration) { request, _ in
            request.script == .acquire ? ambiguity.answer : .released(1)
        } body: { node, locks in
            let error = try await #require(throws: LockError.self) {
                _ = try await locks.acquire("x", wait: .upTo(.zero))
            }
            #expect(error.code == .quorumUnreachable)
            #expect(await node.next { $0.script == .release } != nil)
        }
        #expect(node.requests(.acquire).count == 2)
        #expect(Set(node.requests.map(\.owner)).count == 1)
        #expect(node.requests.last?.script == .release)
    }

    @Test("An ambiguous answer, then a plain no: what the first request may have taken is given back")
    func ambiguousThenHeld() async throws {
        let node = try await withFakeNode { request, earlier in
            guard request.script == .acquire else { return .released(1) }
            return earlier == 0 ? .error("FANCY new error") : .bytes("*4\r\n:0\r\n$0\r\n\r\n:5000\r\n:0\r\n")
        } body: { node, locks in
            let lease = try await locks.acquireIfAvailable("x")
            #expect(lease == nil)
            #expect(await node.next { $0.script == .release } != nil)
        }
        #expect(node.requests.map(\.script) == [.acquire, .acquire, .release])
        #expect(Set(node.requests.map(\.owner)).count == 1)
    }

    @Test("Acquire and release are one request and one reply each, on one connection")
    func roundTrips() async throws {
        let node = try await withFakeNode { request, earlier in
            request.script == .acquire ? .granted(Int64(earlier + 1)) : .healthy(request.script)
        } body: { node, locks in
            try await locks.connect()
            let before = node.verbs.count
            for round in 1...10 {
                let lease = try await locks.acquire("x")
                #expect(node.verbs.count - before == 2 * round - 1)
                #expect(lease.fencingToken == Int64(round))
                try await lease.release()
                #expect(node.verbs.count - before == 2 * round)
            }
            #expect(node.verbs.dropFirst(before).allSatisfy { $0 == "EVALSHA" })
        }
        #expect(node.connectionCount == 1)
    }
}

/// A way in which an answer gets lost, with settings under which that takes little time.
struct Ambiguity: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let answer: FakeLockNode.Answer
    var configuration = RedisLocks.Configuration.patient

    static let all: [Ambiguity] = [
        Ambiguity(testDescription: "UNBLOCKED", answer: .error("UNBLOCKED force unblock from blocking operation")),
        Ambiguity(testDescription: "an unknown word", answer: .error("FANCY new error")),
        Ambiguity(testDescription: "an unknown ERR", answer: .error("ERR something new")),
        Ambiguity(testDescription: "the end amid a reply", answer: .endOfFile),
        Ambiguity(testDescription: "a reset", answer: .reset),
        Ambiguity(
            testDescription: "a timeout after the write", answer: .late(FakeLockNode.Answer.acquired(1, 77)),
            configuration: .oneSecondPerRequest),
        Ambiguity(testDescription: "no protocol", answer: .bytes("HTTP/1.1 400 Bad Request\r\n\r\n")),
        Ambiguity(testDescription: "an oversized reply", answer: .bytes("*500000000\r\n")),
        Ambiguity(
            testDescription: "a timeout that gives the connection up", answer: .bytes("$2000000000\r\n"),
            configuration: .sixSecondsPerRequest),
        Ambiguity(testDescription: "a reply that nobody understands", answer: .bytes("+OK\r\n")),
    ]
}

extension RedisLocks.Configuration {
    /// A lost answer costs a second, and a machine that stands still for longer costs a repetition.
    static var oneSecondPerRequest: RedisLocks.Configuration {
        var configuration = RedisLocks.Configuration.patient
        configuration.nodeTimeout = .seconds(1)
        return configuration
    }

    /// For leases of 15 s.
    static var fourSecondsPerRequest: RedisLocks.Configuration {
        var configuration = RedisLocks.Configuration.patient
        configuration.nodeTimeout = .seconds(4)
        return configuration
    }

    /// Longer than a connection may owe an answer: the timeout and its end fall on one instant.
    static var sixSecondsPerRequest: RedisLocks.Configuration {
        var configuration = RedisLocks.Configuration.patient
        configuration.nodeTimeout = .seconds(6)
        return configuration
    }
}

/// A scripted node and a client of it. Returns the node, which has heard all that the client had to say.
func withFakeNode(
    _ configuration: RedisLocks.Configuration = .patient,
    _ options: FakeLockNode.Options = .init(),
    _ behaviour: @escaping FakeLockNode.Behaviour,
    body: (FakeLockNode, RedisLocks) async throws -> Void
) async throws -> FakeLockNode {
    let node = try FakeLockNode(options, behaviour)
    do {
        try await RedisLocks.with(.node(node.url), configuration: configuration) { try await body(node, $0) }
    } catch {
        await node.stop()
        throw error
    }
    await node.stop()
    return node
}
