import RedisLocks
import TestSupport
import Testing

/// Rows 1 to 4 and 38 to 40 of the fault matrix: votes, and agreement on the token.
@Suite("A quorum under attack: votes", .timeLimit(.minutes(2)))
struct QuorumVoteTests {
    @Test(
        "Row 1: uncontended, acquire and release are one round trip and one command to each node", arguments: [1, 3, 5])
    func oneRoundTrip(count: Int) async throws {
        try await withNodes(.init(count: count, isProxied: true)) { quorum, locks in
            // The nodes agree whenever they are asked, also across the end of a second.
            try quorum.setCounter(of: "x", to: Array(repeating: farAhead, count: count))
            let before = quorum.proxies.map(\.seen.requests.count)
            for server in quorum.servers { try server.command("CONFIG", "RESETSTAT") }
            for expected in 1...10 {
                let lease = try await locks.acquire("x")
                #expect(lease.fencingToken == farAhead + Int64(expected))
                try await lease.release()
            }
            for (index, proxy) in quorum.proxies.enumerated() {
                try await proxy.waitForReplies(.release, count: 10)
                #expect(proxy.seen.requests.count - before[index] == 20)
                #expect(proxy.seen.requests(.confirm).isEmpty)
                #expect(try quorum.servers[index].commandCounts()["evalsha"] == 20)
            }
        }
    }

    @Test(
        "Row 2: with a minority dead the lock is acquired, and its deadline counts from the start",
        arguments: [[2], [1, 4]])
    func minorityDead(dead: [Int]) async throws {
        try await withNodes(.init(count: dead.count * 2 + 1, isProxied: true)) { quorum, locks in
            try await quorum.kill(dead)
            let before = ContinuousClock.now
            let lease = try await locks.acquire("x")
            let first = try #require(quorum.proxies.flatMap { $0.seen.requests(.acquire).map(\.at) }.min())
            let validity = RedisLocks.Configuration.patient.validity
            #expect(lease.deadline >= before + validity)
            #expect(lease.deadline <= first + validity, "from before the first request was sent")
            try await lease.release()
        }
    }

    @Test("Row 2: with one of five nodes stopped the lock is acquired and released while that one has not answered")
    func minorityStopped() async throws {
        try await withNodes(.init(count: 5, isProxied: true)) { quorum, locks in
            try quorum.servers[1].pause()
            for _ in 0..<3 { try await locks.acquire("x").release() }
            let stopped = quorum.proxies[1].seen
            #expect(stopped.requests(.acquire).count == 3 && stopped.replies(.acquire).isEmpty)
            try quorum.servers[1].resume()
            try await quorum.proxies[1].waitForReplies(.release, count: 3)
            try await quorum.waitUntilFree("x")
        }
    }

    @Test("Row 3: with a majority dead nobody is granted, the error names the nodes, and what was taken is given back")
    func majorityDead() async throws {
        try await withNodes(.init(isProxied: true), configuration: .brisk) { quorum, locks in
            try await quorum.kill([0, 2])
            let error = try await refusal(locks)
            #expect(error.code == .quorumUnreachable)
            #expect(error.silentCount == 2)
            for url in [quorum.urls[0], quorum.urls[2]] { #expect(error.description.contains(url)) }
            try await quorum.proxies[1].waitForReplies(.release, count: 1)
            #expect(try quorum.servers[1].command("EXISTS", "x") == "0")
        }
    }

    @Test("Row 4: all nodes slow, but within the node timeout: acquired")
    func slow() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            for proxy in quorum.proxies { proxy.set(.requests, .acquire, .hold) }
            let before = ContinuousClock.now
            async let acquired = locks.acquire("x")
            for proxy in quorum.proxies { try await proxy.waitForHeld(.requests, count: 1) }
            for proxy in quorum.proxies { proxy.set(.replies, .acquire, .delay(.milliseconds(100))) }
            let released = ContinuousClock.now
            for proxy in quorum.proxies { proxy.release(.requests) }
            let lease = try await acquired
            #expect(before.duration(to: .now) >= .milliseconds(100))
            #expect(lease.deadline < released + RedisLocks.Configuration.patient.validity, "the wait is paid for")
            try await lease.release()
        }
    }

    @Test("Row 4: all nodes slower than the node timeout: no votes, and their late grants are released")
    func tooSlow() async throws {
        try await withNodes(.init(isProxied: true), configuration: .brisk) { quorum, locks in
            for proxy in quorum.proxies { proxy.set(.requests, .acquire, .hold) }
            let error = try await refusal(locks)
            #expect(error.code == .quorumUnreachable)
            #expect(error.outcomes.count { $0 == .timedOut } >= 2, "two decide, the third need not be waited for")
            for proxy in quorum.proxies { proxy.heal() }
            for proxy in quorum.proxies { try await proxy.waitForReplies(.release, count: 1) }
            #expect(try quorum.holders(of: "x") == [])
            for proxy in quorum.proxies { #expect(proxy.seen.replies(.acquire).count == 1, "it was executed") }
        }
    }

    @Test("Row 38: three clients split the vote of three nodes: nobody wins, and jittered retries converge")
    func splitVote() async throws {
        try await RedisTestQuorum.with(.init(isProxied: true)) { quorum in
            let visits = VisitLog()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for name in ["client-0", "client-1", "client-2"] {
                    let configuration = RedisLocks.Configuration.patient.with { $0.clientName = name }
                    group.addTask {
                        try await quorum.withClient(configuration) { locks in
                            _ = try await locks.initializeNodes(force: true)
                            for proxy in quorum.proxies { proxy.set(.requests, .acquire, .hold) }
                            try await locks.withLock("x", wait: .patient) { lease in
                                visits.enter(lease.fencingToken)
                                visits.leave()
                            }
                        }
                    }
                }
                for proxy in quorum.proxies { try await proxy.waitForHeld(.requests, count: 3) }
                // Each node hears another client first.
                for (index, proxy) in quorum.proxies.enumerated() {
                    proxy.release(.requests) { $0.client == "client-\(index)" }
                    try await proxy.waitForReplies(.acquire, count: 1)
                }
                #expect(visits.tokens.isEmpty)
                for proxy in quorum.proxies { proxy.heal() }
                try await group.waitForAll()
            }
            #expect(visits.tokens.count == 3 && visits.overlaps == 0)
            #expect(visits.tokens == visits.tokens.sorted() && Set(visits.tokens).count == 3)
            for (index, proxy) in quorum.proxies.enumerated() {
                #expect(proxy.seen.replies(.acquire).first?.client == "client-\(index)")
                #expect(proxy.seen.requests(.acquire).count > 3, "the first round was nobody's")
            }
        }
    }

    @Test("Row 39: counters that differ cost exactly one confirmation, and agree afterwards")
    func divergedCounters() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            try quorum.setCounter(of: "x", to: [farAhead + 9, farAhead, farAhead])
            // The third's vote would make a majority without the first.
            quorum.proxies[2].set(.replies, .acquire, .hold)
            let lease = try await locks.acquire("x")
            #expect(lease.fencingToken == farAhead + 10)
            #expect(quorum.proxies.map { $0.seen.requests(.confirm).count } == [0, 1, 0])
            #expect(try quorum.counters(of: "x").prefix(2) == [farAhead + 10, farAhead + 10])
            // The majority agrees from now on. The third would cost one more round, were it among the first to answer.
            quorum.proxies[2].release(.replies)
            try await lease.release()
            let next = try await locks.acquire("x")
            quorum.proxies[2].heal()
            try await next.release()
            #expect(next.fencingToken == farAhead + 11)
            #expect(quorum.proxies.map { $0.seen.requests(.confirm).count } == [0, 1, 0])
        }
    }

    @Test("Row 40: a confirmation that gets lost: refused, given back, and the token that nobody saw is not used again")
    func lostConfirmation() async throws {
        try await withNodes(.init(isProxied: true), configuration: .brisk) { quorum, locks in
            try quorum.setCounter(of: "x", to: [farAhead + 9, farAhead, farAhead])
            try await quorum.kill([2])
            quorum.proxies[1].set(.requests, .confirm, .cut)
            let error = try await refusal(locks)
            #expect(error.code == .quorumUnreachable)
            #expect(error.outcomes[0] == .won && error.silentCount == 2)
            #expect(quorum.proxies[1].seen.requests(.confirm).count == 1)
            for index in 0...1 {
                try await waitUntil("node \(index) is free") { try quorum.servers[index].command("EXISTS", "x") == "0" }
            }
            quorum.proxies[1].heal()
            let lease = try await locks.acquire("x", wait: .patient)
            #expect(lease.fencingToken > farAhead + 10)
            try await lease.release()
        }
    }
}
