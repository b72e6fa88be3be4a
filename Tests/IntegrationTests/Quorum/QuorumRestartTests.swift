import RedisLocks
import TestSupport
import Testing

/// Rows 19 to 23 and 41 of the fault matrix: nodes that come back, with or without what they knew.
@Suite("A quorum under attack: restarts", .timeLimit(.minutes(2)))
struct QuorumRestartTests {
    @Test(
        "Row 19: three of five nodes killed, wiped and restarted within a lease: nobody is granted until the quarantine ends"
    )
    func amnesia() async throws {
        // 5 s of lease, and nodes that abstain for 7.05 s.
        let configuration = RedisLocks.Configuration.short(.seconds(5))
        try await withNodes(.init(count: 5), configuration: configuration) { quorum, locks in
            let lease = try await locks.acquire("x")
            let emptied = ContinuousClock.now
            try await quorum.restartEmpty([0, 2, 4])
            try await quorum.withClient(configuration) { others in
                // Two nodes may say first that it is held, which is as good a reason.
                let held = try await refusal(others)
                #expect([.quorumUnreachable, .waitTimedOut].contains(held.code))
                #expect(held.description.contains("does not vote for another"))
                // Nobody holds this one, and it may not be granted either: it might have been forgotten.
                let error = try await refusal(others, "y")
                #expect(error.code == .quorumUnreachable)
                #expect(error.quarantines.count == 3)
                #expect(error.quarantines.allSatisfy { $0 > .zero && $0 <= .milliseconds(7_050) })
                #expect(error.message.contains("restarted") && error.message.contains("wait another"))
                #expect([0, 2, 4].allSatisfy { error.message.contains(quorum.urls[$0]) })

                let next = try await others.acquire("x", wait: .patient)
                #expect(emptied.duration(to: .now) > .milliseconds(7_000))
                #expect(lease.deadline < .now, "whatever had been granted is over")
                #expect(next.fencingToken > lease.fencingToken)
                try await next.release()
            }
        }
    }

    @Test("Row 19: the same without the guard, plain Redlock: granted at once, and two hold the lock")
    func plainRedlock() async throws {
        let configuration = RedisLocks.Configuration.patient.with { $0.restartGuard = .unsafeOff }
        try await withNodes(.init(count: 5), configuration: configuration) { quorum, locks in
            let lease = try await locks.acquire("x")
            try await quorum.restartEmpty([0, 2, 4])
            try await quorum.withClient(configuration) { others in
                let second = try await others.acquire("x", wait: .patient)
                #expect(lease.isValid && second.isValid, "a double grant")
                try await second.release()
            }
        }
    }

    @Test("Row 20: durable nodes restart with the lock, its expiry and its counter, and vote at once")
    func durableRestart() async throws {
        var server = RedisTestServer.Options()
        server.isPersistent = true
        try await RedisTestQuorum.with(.init(server: server)) { quorum in
            let nodes = LockNodes.redlock(quorum.urls.map { LockNodes.Node($0, isDurable: true) })
            try await RedisLocks.with(nodes, configuration: .patient) { locks in
                _ = try await locks.initializeNodes()
                let lease = try await locks.acquire("x")
                let before = try quorum.servers.map { try $0.command("PEXPIRETIME", "x") }
                try await quorum.restart(0..<3)
                #expect(try quorum.servers.map { try $0.command("PEXPIRETIME", "x") } == before)
                #expect(try quorum.counters(of: "x") == Array(repeating: lease.fencingToken, count: 3))
                try await RedisLocks.with(nodes, configuration: .patient) { others in
                    #expect(try await others.acquireIfAvailable("x") == nil)
                    // No quarantine: another name is granted at once.
                    try await others.acquire("y", wait: .once).release()
                }
                try await lease.release()
                try await quorum.waitUntilFree("x")
            }
        }
    }

    @Test("Row 21: an append-only file that lost its last second: the nodes abstain, and the next token is greater")
    func lostSecond() async throws {
        var server = RedisTestServer.Options()
        server.isPersistent = true
        server.configuration = ["appendfsync everysec"]
        try await withNodes(.init(server: server), configuration: .short(.seconds(1))) { quorum, locks in
            try await locks.acquire("x").release()
            try await quorum.waitUntilFree("x")
            try await withTemporaryDirectory { folder in
                for (index, server) in quorum.servers.enumerated() {
                    try copyFolder("\(server.folder)/appendonlydir", to: "\(folder)/\(index)")
                }
                let lease = try await locks.acquire("x")
                try await quorum.kill(0..<2)
                for index in 0..<2 {
                    try copyFolder("\(folder)/\(index)", to: "\(quorum.servers[index].folder)/appendonlydir")
                }
                try await quorum.restart(0..<2)
                #expect(try quorum.servers[0].command("EXISTS", "x") == "0")
                #expect(try quorum.counters(of: "x")[0] < lease.fencingToken)
                try await expectAbstention(quorum, .short(.seconds(1)), after: lease)
            }
        }
    }

    @Test("Row 22: FLUSHALL on a majority: the nodes abstain; SCRIPT FLUSH costs nothing")
    func flushed() async throws {
        let configuration = RedisLocks.Configuration.short(.seconds(1))
        try await withNodes(configuration: configuration) { quorum, locks in
            for server in quorum.servers { try server.command("SCRIPT", "FLUSH") }
            let lease = try await locks.acquire("x", wait: .once)
            for server in quorum.servers { try server.command("SCRIPT", "FLUSH") }
            try await lease.release()
            let held = try await locks.acquire("x")
            for server in quorum.servers.prefix(2) { try server.command("FLUSHALL") }
            try await expectAbstention(quorum, configuration, after: held)
        }
    }

    @Test("Row 23: an old RDB file restored: counters rolled back, the nodes abstain, and the next token is greater")
    func oldBackup() async throws {
        let configuration = RedisLocks.Configuration.short(.seconds(1))
        try await withNodes(configuration: configuration) { quorum, locks in
            try await locks.acquire("x").release()
            try await quorum.waitUntilFree("x")
            for server in quorum.servers.prefix(2) { try server.command("SAVE") }
            let lease = try await locks.acquire("x")
            try await quorum.restart(0..<2)
            #expect(try quorum.servers[0].command("EXISTS", "x") == "0")
            let counters = try quorum.counters(of: "x")
            #expect(counters[0] > 0 && counters[0] < lease.fencingToken)
            try await expectAbstention(quorum, configuration, after: lease)
        }
    }

    @Test("Row 41: nodes lost one after the other: held while a majority knows it, planted anew; both at once: lost")
    func oneByOne() async throws {
        try await withNodes(configuration: .short(.seconds(5))) { quorum, locks in
            let lease = try await locks.acquire("x")
            try await quorum.restartEmpty([0])
            try await waitUntil("the lease is planted at node 0 anew, after its quarantine") {
                try quorum.servers[0].command("EXISTS", "x") == "1"
            }
            #expect(lease.isValid)
            try await quorum.restartEmpty([1])
            #expect(await isRenewed(lease.events), "by the nodes 0 and 2")
            #expect(lease.isValid)
            try await quorum.restartEmpty([0])
            #expect(await lease.lost() == .taken)
            #expect(!lease.isValid)
        }
    }
}

/// Two of three nodes have forgotten `lease`: nobody is granted before it is over, and the next token is greater.
private func expectAbstention(
    _ quorum: RedisTestQuorum, _ configuration: RedisLocks.Configuration, after lease: Lease
) async throws {
    try await quorum.withClient(configuration) { others in
        // A name that nobody holds: of the other, one of two may say first that it is held, which is as good a reason.
        let error = try await refusal(others, "y")
        #expect(error.code == .quorumUnreachable)
        #expect(!error.quarantines.isEmpty)
        let next = try await others.acquire("x", wait: .patient)
        #expect(lease.deadline < .now)
        #expect(next.fencingToken > lease.fencingToken)
        try await next.release()
    }
}
