#if os(Linux)
    import RedisLocks
    import RedisLocksTesting
    import TestSupport
    import Testing

    /// Rows 14 to 17 of the fault matrix: wall clocks, by which nodes expire keys, that jump or run.
    @Suite("A quorum under attack: the nodes' clocks", .timeLimit(.minutes(2)))
    struct QuorumClockTests {
        static let nodes = RedisTestQuorum.Options(hasClocks: true)

        @Test(
            "Row 14: one clock of three jumps a minute ahead: the node lets the lock expire, but its vote does not count"
        )
        func oneJumps() async throws {
            try await withNodes(Self.nodes) { quorum, locks in
                let lease = try await locks.acquire("x")
                try await quorum.waitUntilHeld("x", by: [0, 1, 2])
                try await quorum.withClient { others in
                    // What it compares later answers with.
                    try await others.acquire("y").release()
                    try quorum.clocks[0].jump(by: .seconds(60) + .seconds(5))
                    let error = try await refusal(others)
                    #expect(error.code == .waitTimedOut, "the others hold it: \(error)")
                    #expect(error.skews.allSatisfy { $0 > .seconds(60) && $0 < .seconds(70) })
                    #expect(lease.isValid)
                }
                try await quorum.waitUntilHeld("x", by: [1, 2])
                try await lease.release()
            }
        }

        @Test(
            "Row 14: a node whose clock is a minute ahead does not help to a majority; the error says whose clock it is"
        )
        func skewedVote() async throws {
            try await withNodes(.init(isProxied: true, hasClocks: true), configuration: .brisk) { quorum, locks in
                try quorum.clocks[0].jump(by: .seconds(60))
                // All are heard once, so that there is something to compare.
                try await locks.acquire("y", wait: .patient).release()
                for proxy in quorum.proxies { try await proxy.waitForReplies(.release, count: 1) }
                try quorum.servers[2].pause()
                let error = try await refusal(locks)
                #expect(error.code == .quorumUnreachable)
                #expect(error.skews.count == 1)
                #expect(error.description.contains("clock is off"), "\(error)")
                try quorum.servers[2].resume()
            }
        }

        @Test(
            "Row 14: the only node's clock jumps past the ttl: exclusion ends, as documented, and tokens go on growing")
        func onlyNodeJumps() async throws {
            let configuration = RedisLocks.Configuration.patient
            try await withNodes(.init(count: 1, hasClocks: true), configuration: configuration) { quorum, locks in
                let lease = try await locks.acquire("x")
                try quorum.clocks[0].jump(by: .seconds(61))
                let node = LockNodes.node(quorum.urls[0])
                try await RedisLocks.with(node, configuration: configuration) { others in
                    let second = try await others.acquire("x", wait: .once)
                    #expect(lease.isValid && second.isValid)
                    #expect(second.fencingToken > lease.fencingToken)
                    try await second.release()
                }
            }
        }

        @Test(
            "Row 15: a clock goes back two minutes: keys live longer, and a node that had just begun to vote abstains again"
        )
        func backwards() async throws {
            try await withNodes(Self.nodes) { quorum, locks in
                // As after a boot ten minutes ago.
                let server = quorum.servers[0]
                let now = try #require(Int(server.command("TIME").split(separator: "\n").first ?? ""))
                try server.command("HSET", "redis-locks:boot", "since", "\((now - 100) * 1000)")
                let lease = try await locks.acquire("x")
                try await quorum.waitUntilHeld("x", by: [0, 1, 2])
                try quorum.clocks[0].jump(by: .seconds(-120))
                let left = try #require(Int(server.command("PTTL", "x")))
                #expect(left > 120_000 && left <= 180_000)
                try await lease.release()
                try await quorum.kill([1])
                try await quorum.withClient(.brisk) { others in
                    let error = try await refusal(others, "y")
                    #expect(error.code == .quorumUnreachable)
                    #expect(error.quarantines.count == 1)
                    #expect(error.quarantines.allSatisfy { $0 > .zero && $0 <= .milliseconds(62_600) })
                }
            }
        }

        @Test(
            "Row 16: a majority of clocks jumps ahead: a double grant, whose tokens are ordered; the store refuses the first"
        )
        func majorityJumps() async throws {
            try await withNodes(Self.nodes) { quorum, locks in
                let recorder = HistoryRecorder()
                let store = FencedStore(recorder: recorder)
                let first = recorder.begin(client: "a", names: ["x"])
                let lease = try await locks.acquire("x")
                recorder.granted(first, lease)
                store.claim("a", first, lease)
                // Or a node that was slow to grant would do so by the new time.
                try await quorum.waitUntilHeld("x", by: [0, 1, 2])
                for clock in quorum.clocks.prefix(2) { try clock.jump(by: .seconds(61)) }
                try await quorum.withClient { others in
                    let second = recorder.begin(client: "b", names: ["x"])
                    let late = try await others.acquire("x", wait: .once)
                    recorder.granted(second, late)
                    #expect(lease.isValid && late.isValid)
                    #expect(late.fencingToken > lease.fencingToken)
                    #expect(store.claim("b", second, late))
                    #expect(!store.write("a", first, lease), "the store refuses whoever is late")
                    #expect(store.write("b", second, late))
                    recorder.releaseInvoked(second)
                    try await late.release()
                }
                #expect(recorder.history.check(inside: false) == [])
                #expect(!recorder.history.check(inside: true).isEmpty, "this is outside of what exclusion assumes")
            }
        }

        @Test(
            "Row 16: the clocks of a majority jump during a hold, by less than the ttl: the holder finds out with its renewal"
        )
        func stepDuringHold() async throws {
            try await withNodes(Self.nodes, configuration: .short(.seconds(6))) { quorum, locks in
                let lease = try await locks.acquire("x")
                try await quorum.waitUntilHeld("x", by: [0, 1, 2])
                for clock in quorum.clocks.prefix(2) { try clock.jump(by: .milliseconds(500)) }
                #expect(await lease.lost() == .clockStepped)
            }
        }

        @Test(
            "Row 17: a clock that runs 8 % fast: safe with a drift factor of 0.09, and not with 0.01",
            arguments: [0.09, 0.01])
        func fastClock(driftFactor: Double) async throws {
            let isSafe = driftFactor > 0.08
            // The longer, the farther apart are a deadline and an expiry that must not be confused by a slow machine.
            let configuration = RedisLocks.Configuration.short(.seconds(isSafe ? 2 : 60)).with {
                $0.driftFactor = driftFactor
            }
            let nodes = RedisTestQuorum.Options(count: 1, isProxied: true, hasClocks: true)
            try await withNodes(nodes, configuration: configuration) { quorum, locks in
                try quorum.clocks[0].setRate(0.08)
                quorum.proxies[0].set(.requests, .extend, .drop)
                let lease = try await locks.acquire("x")
                // When the key will be gone, at the earliest and at the latest.
                let before = ContinuousClock.now
                let left = try #require(Int(quorum.servers[0].command("PTTL", "x")))
                let earliest = before + .milliseconds(left) / 1.08
                let latest = ContinuousClock.now + .milliseconds(left + 1) / 1.08
                guard isSafe else {
                    #expect(lease.deadline > latest, "others may take it while it is believed in")
                    return
                }
                #expect(lease.deadline <= earliest)
                try await RedisLocks.with(.node(quorum.directURLs[0]), configuration: configuration) { others in
                    let next = try await others.acquire("x", wait: .patient)
                    #expect(!lease.isValid)
                    #expect(next.fencingToken > lease.fencingToken)
                    try await next.release()
                }
            }
        }
    }
#endif
