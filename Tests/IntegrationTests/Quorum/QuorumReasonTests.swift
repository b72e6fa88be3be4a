import RedisLocks
import TestSupport
import Testing

/// An attempt is over as soon as a majority is out of reach. What is said when the budget is spent must be right all the same:
/// later answers count for it.
@Suite("A quorum under attack: reasons", .timeLimit(.minutes(2)))
struct QuorumReasonTests {
    @Test("Row 3: a majority is dead and somebody holds the rest: it is the dead nodes that matter")
    func deadMajority() async throws {
        try await withNodes(.init(count: 5), configuration: .brisk) { quorum, locks in
            for server in quorum.servers.prefix(2) { try server.command("SET", "x", "other", "PX", "60000") }
            try await quorum.kill(2..<5)
            let error = try await refusal(locks, wait: .upTo(.seconds(5)))
            #expect(error.code == .quorumUnreachable, "\(error)")
        }
    }

    @Test("Row 19: a majority abstains and somebody holds the rest: the refusal says so, in whatever order they answer")
    func abstainingMajority() async throws {
        try await withNodes(.init(count: 5, isProxied: true)) { quorum, locks in
            for server in quorum.servers.prefix(2) { try server.command("SET", "x", "other", "PX", "60000") }
            for server in quorum.servers.suffix(3) { try server.command("FLUSHALL") }
            for proxy in quorum.proxies.suffix(2) { proxy.set(.replies, .acquire, .hold) }
            async let refused = refusal(locks, wait: .upTo(.seconds(10)))
            for proxy in quorum.proxies.suffix(2) { try await proxy.waitForHeld(.replies, count: 1) }
            for proxy in quorum.proxies { try await proxy.waitForReplies(.acquire, count: 1) }
            for proxy in quorum.proxies { proxy.heal() }
            let error = try await refused
            #expect(error.code == .quorumUnreachable, "\(error)")
            #expect(error.description.contains("does not vote for another"))
        }
    }
}
