import TestSupport
import Testing

@testable import RedisLocks

/// The rows of the table of errors that are about getting a connection, and what else a client must never do.
@Suite("Errors while connecting", .timeLimit(.minutes(2)))
struct ConnectingErrorTests {
    @Test("A server older than 5.0 is refused, and the message says what is needed", arguments: ["4.0.14", "2.8.24"])
    func tooOld(version: String) async throws {
        var options = FakeLockNode.Options()
        options.version = version
        let node = try await withFakeNode(.patient, options) { request, _ in
            .healthy(request.script)
        } body: { _, locks in
            let error = try await #require(throws: LockError.self) {
                _ = try await locks.acquire("x", wait: .upTo(.seconds(3600)))
            }
            #expect(error.code == .misconfigured)
            #expect("\(error)".contains(version) && "\(error)".contains("5.0 or later"))
        }
        #expect(node.requests.isEmpty)
    }

    @Test("Redis 5.0 may serve, and so may what calls itself newer than today's", arguments: ["5.0.0", "9.1.0"])
    func oldEnough(version: String) async throws {
        var options = FakeLockNode.Options()
        options.version = version
        let node = try await withFakeNode(.patient, options) { request, _ in
            .healthy(request.script)
        } body: { _, locks in
            try await locks.acquire("x").release()
        }
        #expect(node.requestsBesidesRenewals.map(\.script) == [.acquire, .release])
    }

    @Test(
        "A server that turns connections away for now is asked again",
        arguments: ["ERR max number of clients reached", "LOADING Redis is loading the dataset in memory"])
    func turnedAway(line: String) async throws {
        var options = FakeLockNode.Options()
        options.turnsAway = [line, line]
        let node = try await withFakeNode(.patient, options) { request, _ in
            .healthy(request.script)
        } body: { _, locks in
            try await locks.acquire("x", wait: .upTo(.seconds(60))).release()
        }
        #expect(node.connectionCount == 3)
        #expect(node.requestsBesidesRenewals.map(\.script) == [.acquire, .release])
    }

    @Test("A server that refuses who we are is asked once, so that no account is locked")
    func refusedOnce() async throws {
        var options = FakeLockNode.Options()
        options.turnsAway = ["NOAUTH Authentication required.", "NOAUTH Authentication required."]
        let node = try await withFakeNode(.patient, options) { request, _ in
            .healthy(request.script)
        } body: { _, locks in
            let error = try await #require(throws: LockError.self) {
                _ = try await locks.acquire("x", wait: .upTo(.seconds(3600)))
            }
            #expect(error.code == .misconfigured)
        }
        #expect(node.connectionCount == 1)
        #expect(node.requests.isEmpty)
    }

    @Test("An unknown host and a server that never answers are unreachable, and the message says which")
    func unreachable() async throws {
        var configuration = RedisLocks.Configuration()
        configuration.connectTimeout = .milliseconds(300)
        let peer = try FakePeer { try $0.hang() }
        for url in ["redis://nobody.invalid:6379", peer.url] {
            try await RedisLocks.with(.node(url), configuration: configuration) { locks in
                let error = try await #require(throws: LockError.self) {
                    _ = try await locks.acquire("x", wait: .upTo(.milliseconds(200)))
                }
                #expect(error.code == .quorumUnreachable)
                #expect("\(error)".contains(url.dropFirst("redis://".count)))
            }
        }
        await peer.stop()
    }

    @Test("A child of a task group inside the body asks for the name in vain, and at once")
    func reentrantChild() async throws {
        let node = try await withFakeNode { request, _ in
            .healthy(request.script)
        } body: { _, locks in
            let codes = try await locks.withLock("outer") { _ in
                await withTaskGroup(of: LockError.Code?.self) { group in
                    for _ in 0..<4 {
                        group.addTask {
                            do {
                                try await locks.withLock("outer", wait: .upTo(.seconds(3600))) { _ in }
                                return nil
                            } catch {
                                return (error as? LockError)?.code
                            }
                        }
                    }
                    return await group.reduce(into: []) { $0.append($1) }
                }
            }
            #expect(codes == Array(repeating: .reentrant, count: 4))
        }
        #expect(node.requestsBesidesRenewals.map(\.script) == [.acquire, .release])
    }
}
