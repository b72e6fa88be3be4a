import RedisLocks
import TestSupport
import Testing

/// Rows 5 to 10, 37 and 45 of the fault matrix: messages that are late, lost, doubled or torn.
@Suite("A quorum under attack: messages", .timeLimit(.minutes(2)))
struct QuorumMessageTests {
    @Test("Row 5: replies that come after too much of the ttl are no grant, whatever they say")
    func lateReplies() async throws {
        let configuration = RedisLocks.Configuration.patient.with {
            $0.ttl = .seconds(60)
            $0.minimumValidity = .milliseconds(59_000)
        }
        try await withNodes(.init(isProxied: true), configuration: configuration) { quorum, locks in
            // The nodes agree, also across the end of a second: there is no time for a confirmation.
            try quorum.setCounter(of: "x", to: Array(repeating: farAhead, count: 3))
            for proxy in quorum.proxies { proxy.set(.replies, .acquire, .delay(.milliseconds(450))) }
            let error = try await refusal(locks)
            #expect(error.code == .quorumUnreachable)
            #expect(error.outcomes.count { $0 == .won } >= 2, "they had granted it")
            try await quorum.waitUntilFree("x")
        }
    }

    @Test("Row 5: replies that are held until the keys have expired reach nobody who believes in them")
    func repliesPastTTL() async throws {
        try await withNodes(.init(isProxied: true), configuration: .short(.seconds(5))) { quorum, locks in
            for proxy in quorum.proxies { proxy.set(.replies, .acquire, .hold) }
            async let error = refusal(locks)
            for proxy in quorum.proxies { try await proxy.waitForReplies(.acquire, count: 1) }
            #expect(try await error.code == .quorumUnreachable)
            try await quorum.waitUntilFree("x")
            try await quorum.withClient(isDirect: true) { others in
                let lease = try await others.acquire("x")
                try await quorum.waitUntilHeld("x", by: [0, 1, 2])
                for proxy in quorum.proxies { proxy.heal() }
                for proxy in quorum.proxies { try await proxy.waitForReplies(.release, count: 1) }
                #expect(try quorum.holders(of: "x") == [0, 1, 2], "the late release is not for somebody else's lease")
                try await lease.release()
            }
        }
    }

    @Test("Row 6: one node, the request executed and its reply lost: asked again as the same owner, the same token")
    func replyLostSingle() async throws {
        try await withNodes(.init(count: 1, isProxied: true)) { quorum, locks in
            let proxy = quorum.proxies[0]
            proxy.set(.replies) { $0.script == .acquire && $0.connection == 1 ? .cut : .pass }
            let lease = try await locks.acquire("x")
            let requests = proxy.seen.requests(.acquire)
            #expect(requests.count == 2)
            #expect(Set(requests.map(\.owner)).count == 1)
            #expect(proxy.seen.replies(.acquire).count == 2, "both were executed")
            #expect(try quorum.counters(of: "x") == [lease.fencingToken])
            try await lease.release()
            #expect(try quorum.holders(of: "x") == [])
        }
    }

    @Test(
        "Row 7: of several nodes, one whose reply is lost has not voted, is not asked again, and its key is given back")
    func replyLost() async throws {
        try await withNodes(.init(isProxied: true), configuration: .brisk) { quorum, locks in
            try await quorum.kill([2])
            quorum.proxies[0].set(.replies, .acquire, .cut)
            let error = try await refusal(locks)
            #expect(error.code == .quorumUnreachable)
            #expect(error.silentCount == 2)
            #expect(quorum.proxies[0].seen.requests(.acquire).count == 1)
            try await waitUntil("node 0 is free") { try quorum.servers[0].command("EXISTS", "x") == "0" }
            #expect(quorum.proxies[0].seen.replies(.acquire).count == 1, "it had been taken")
        }
    }

    @Test("Row 37: requests pass and replies do not: no vote, and the cleanup arrives", arguments: [1, 2])
    func asymmetricPartition(cut: Int) async throws {
        try await withNodes(.init(isProxied: true), configuration: cut == 1 ? .patient : .brisk) { quorum, locks in
            for proxy in quorum.proxies.prefix(cut) { proxy.set(.replies, .drop) }
            if cut == 1 {
                try await locks.acquire("x").release()
            } else {
                let error = try await refusal(locks)
                #expect(error.code == .quorumUnreachable)
                #expect(error.outcomes == [.timedOut, .timedOut, .won])
            }
            for proxy in quorum.proxies { try await proxy.waitForReplies(.release, count: 1) }
            #expect(try quorum.holders(of: "x") == [])
        }
    }

    @Test("Row 8: a zombie grant, executed after its client has gone: nobody holds it, and it goes with its ttl")
    func zombie() async throws {
        try await RedisTestQuorum.with(.init(isProxied: true)) { quorum in
            try await quorum.withClient(.short(.seconds(4))) { locks in
                _ = try await locks.initializeNodes()
                try await locks.connect()
                for proxy in quorum.proxies { proxy.set(.requests, .release, .drop) }
                try await quorum.pause([0, 1])
                let error = try await refusal(locks)
                #expect(error.code == .quorumUnreachable)
            }
            for proxy in quorum.proxies { proxy.cut() }
            for proxy in quorum.proxies { try await proxy.wait(for: "no connection") { $0.openConnections == 0 } }
            try await quorum.resume([0, 1])
            let owner = try #require(quorum.proxies[0].seen.requests(.acquire).first?.owner)
            for server in quorum.servers.prefix(2) {
                try await waitUntil("the zombie appears") { try server.command("GET", "x") == owner }
            }
            let zombie = try quorum.counters(of: "x")[0]
            try await quorum.withClient(.short(.seconds(4)), isDirect: true) { others in
                let lease = try await others.acquire("x", wait: .patient)
                #expect(lease.fencingToken > zombie)
                try await lease.release()
            }
        }
    }

    @Test("Row 9: a RELEASE goes behind its ACQUIRE on the same connection, so it cannot overtake it")
    func releaseBehindAcquire() async throws {
        try await withNodes(.init(isProxied: true), configuration: .brisk) { quorum, locks in
            try await quorum.kill([1, 2])
            let proxy = quorum.proxies[0]
            proxy.set(.requests, .acquire, .hold)
            #expect(try await refusal(locks).code == .quorumUnreachable)
            try await proxy.waitForRequests(.release, count: 1)
            #expect(proxy.seen.replies(.release).isEmpty)
            proxy.heal()
            try await proxy.waitForReplies(.release, count: 1)
            #expect(proxy.seen.replies(.acquire).count == 1)
            #expect(proxy.seen.requests(.acquire)[0].connection == proxy.seen.requests(.release)[0].connection)
            #expect(try quorum.servers[0].command("EXISTS", "x") == "0")
        }
    }

    @Test("Row 9: when the connection is lost the RELEASE may overtake; the name is then taken for the ttl at most")
    func releaseOvertakes() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            for server in quorum.servers.suffix(2) { try server.command("SET", "x", "another", "PX", "60000") }
            for proxy in quorum.proxies.suffix(2) { proxy.set(.replies, .acquire, .hold) }
            let proxy = quorum.proxies[0]
            proxy.set(.requests, .acquire, .hold)
            async let error = refusal(locks)
            try await proxy.waitForHeld(.requests, count: 1)
            let connections = proxy.seen.connections
            proxy.cutClients()
            try await proxy.wait(for: "a new connection") { $0.connections > connections }
            for proxy in quorum.proxies.suffix(2) {
                try await proxy.waitForHeld(.replies, count: 1)
                proxy.heal()
            }
            #expect(try await error.code == .waitTimedOut)
            try await proxy.waitForReplies(.release, count: 1)
            #expect(proxy.seen.replies(.acquire).isEmpty, "it has overtaken")
            proxy.heal()
            let owner = try #require(proxy.seen.requests(.acquire).first?.owner)
            try await waitUntil("the ACQUIRE arrives late") { try quorum.servers[0].command("GET", "x") == owner }
            let left = try #require(Int(quorum.servers[0].command("PTTL", "x")))
            #expect(left > 0 && left <= 60_000)
        }
    }

    @Test(
        "Row 10: a duplicate ACQUIRE after expiry is a new tenure with a greater counter; the old token's CONFIRM is refused"
    )
    func duplicateAfterExpiry() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            try quorum.setCounter(of: "x", to: [farAhead + 9, farAhead, farAhead])
            quorum.proxies[2].set(.replies, .acquire, .hold)
            let lease = try await locks.acquire("x")
            let acquire = try #require(quorum.proxies[1].seen.requests(.acquire).first)
            let confirm = try #require(quorum.proxies[1].seen.requests(.confirm).first)
            let server = quorum.servers[1]
            try server.command("DEL", "x")
            guard case .array(let reply) = try server.send(acquire.arguments) else {
                Issue.record("no reply to ACQUIRE")
                return
            }
            #expect(reply[0] == .integer(1), "a fresh grant, not a repeated one")
            let top = try #require(Int64(reply[1].description))
            #expect(top > lease.fencingToken)
            let refused = TestReply.array([.integer(-1), .text("\(top)")])
            #expect(try server.send(confirm.arguments) == refused)
            quorum.proxies[2].heal()
            try await lease.release()
        }
    }

    @Test("Row 10: every script arrives twice: tokens are unique and grow, and nobody overlaps")
    func everythingTwice() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            for proxy in quorum.proxies { proxy.set(.requests) { $0.script == nil ? .pass : .duplicate } }
            let visits = VisitLog()
            try await quorum.withClient { others in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for locks in [locks, others] {
                        group.addTask {
                            for _ in 0..<10 {
                                try await locks.withLock("x", wait: .patient) { lease in
                                    visits.enter(lease.fencingToken)
                                    visits.leave()
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
            }
            #expect(visits.tokens.count == 20 && visits.overlaps == 0)
            #expect(visits.tokens == visits.tokens.sorted() && Set(visits.tokens).count == 20)
            try await quorum.waitUntilFree("x")
        }
    }

    @Test("Row 45: requests and replies in slices of one byte mean the same")
    func slices() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            for proxy in quorum.proxies {
                proxy.setSlices(.requests, of: 1)
                proxy.setSlices(.replies, of: 1)
            }
            var last: Int64 = 0
            for _ in 0..<3 {
                let lease = try await locks.acquire("x")
                #expect(lease.fencingToken > last)
                last = lease.fencingToken
                try await lease.release()
            }
        }
    }

    enum Poison: String, CaseIterable {
        case gigantic, nested, negative, torn

        var reply: String {
            switch self {
            case .gigantic: "$1000000000\r\n"
            case .nested: String(repeating: "*1\r\n", count: 10_000)
            case .negative: "*-7\r\n"
            case .torn: ":"
            }
        }
    }

    @Test("Row 45: a node that answers poison costs the others nothing", arguments: Poison.allCases)
    func poison(_ poison: Poison) async throws {
        try await RedisTestQuorum.with(.init(count: 2)) { quorum in
            let peer = try FakeLockNode { _, _ in .bytes(poison.reply) }
            let configuration = RedisLocks.Configuration.patient.with { $0.restartGuard = .unsafeOff }
            try await RedisLocks.with(.redlock([peer.url] + quorum.urls), configuration: configuration) { locks in
                let lease = try await locks.acquire("x")
                #expect(try quorum.holders(of: "x") == [0, 1])
                try await lease.release()
            }
            await peer.stop()
        }
    }
}
