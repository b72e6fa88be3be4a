import RedisLocks
import RedisLocksTesting
import Testing

@Suite("The restart guard and the clocks of a quorum", .timeLimit(.minutes(1)))
struct QuorumGuardTests {
    /// With a greatest ttl of 10 s the guard lasts 10 s x 1.01 + 2 s.
    static let guardTime: Duration = .milliseconds(12_100)

    static func configuration(_ restartGuard: RedisLocks.Configuration.RestartGuard = .automatic)
        -> RedisLocks.Configuration
    {
        var configuration = RedisLocks.Configuration()
        configuration.maximumTTL = .seconds(10)
        configuration.restartGuard = restartGuard
        return configuration
    }

    @Test(
        "A majority that forgot everything grants nobody until the quarantine ends, and the refusal says who and how long"
    )
    func amnesia() async throws {
        try await LockTestBed.with(nodes: 5, configuration: Self.configuration()) { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            for node in bed.nodes.prefix(3) { node.forgetEverything() }
            let start = bed.now
            let error = await #expect(throws: LockError.self) {
                try await bed.advanceUntilDone { try await bed.locks.acquire("other", wait: .upTo(.seconds(3))) }
            }
            #expect(error?.code == .quorumUnreachable)
            let message = error?.message ?? ""
            #expect(message.contains("memory://0, memory://1, memory://2"))
            #expect(message.contains("redislock init"))
            guard case .quarantined(let remaining)? = error?.nodes.first?.outcome else {
                Issue.record("\(error as Any)")
                return
            }
            #expect(remaining > .seconds(9) && remaining < Self.guardTime)
            let status = try await bed.locks.status(of: "job")
            #expect(status.nodes.map { $0.quarantine != nil } == [true, true, true, false, false])
            // The one who had it lost it, by its deadline at the latest, before anybody else can have it.
            await bed.advance(to: start + Self.guardTime)
            #expect(!lease.isValid)
            try await bed.locks.acquire("job").release()
        }
    }

    @Test("Without the guard the same nodes grant at once, while the old lease is still valid")
    func plainRedlock() async throws {
        try await LockTestBed.with(nodes: 5, configuration: Self.configuration(.unsafeOff)) { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            for node in bed.nodes.prefix(3) { node.forgetEverything() }
            // In this process the holder stands first in line, so another name stands for another process.
            let error = await code { try await bed.locks.acquire("other", wait: .upTo(.zero)) }
            #expect(error == nil)
            #expect(lease.isValid)
        }
    }

    @Test("A durable node that restarts with its data votes at once; one that lost it does not")
    func durable() async throws {
        try await LockTestBed.with(nodes: 3, configuration: Self.configuration()) { bed in
            for node in bed.nodes {
                node.isDurable = true
                node.restart()
            }
            try await bed.locks.acquire("job").release()
            for node in bed.nodes { node.forgetEverything() }
            let error = await code {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(1))) }
            }
            #expect(error == .quorumUnreachable)
        }
    }

    @Test("Nodes that are told that they are new vote at once; those that hold counters must be forced")
    func initialization() async throws {
        try await LockTestBed.with(nodes: 3, configuration: Self.configuration()) { bed in
            for node in bed.nodes { node.forgetEverything() }
            let fresh = try await bed.locks.initializeNodes()
            #expect(fresh.map(\.outcome) == [.initialized, .initialized, .initialized])
            try await bed.locks.acquire("job").release()
            // One that has lost its memory is not new, although it looks so: the others remember that the fleet has voted.
            bed.nodes[2].forgetEverything()
            let second = try await bed.locks.initializeNodes()
            let refused = NodeInitialization.Outcome.refused(counter: "{job}:fence")
            #expect(second.map(\.outcome) == [refused, refused, refused])
            #expect(try await bed.locks.status(of: "job").nodes[2].quarantine != nil)
            bed.nodes[0].inject(.unreachable)
            #expect(try await bed.locks.initializeNodes().last?.outcome == refused)
            bed.nodes[0].heal()
            let forced = try await bed.locks.initializeNodes(force: true)
            #expect(forced.map(\.outcome) == [.initialized, .initialized, .initialized])
        }
    }

    @Test("A node that cannot be asked may be the one that remembers: nothing is changed without force")
    func initializationOfAPart() async throws {
        try await LockTestBed.with(nodes: 3, configuration: Self.configuration()) { bed in
            for node in bed.nodes { node.forgetEverything() }
            bed.nodes[1].inject(.unreachable)
            let outcomes = try await bed.locks.initializeNodes().map(\.outcome)
            #expect(outcomes == [.skipped, .unreachable("no connection"), .skipped])
            #expect(try await bed.locks.initializeNodes(force: true).map(\.outcome).first == .initialized)
        }
    }

    @Test("A client that takes nodes for durable does not make others trust a restart")
    func durableForOneClient() async throws {
        try await LockTestBed.with(nodes: 3, configuration: Self.configuration()) { bed in
            for node in bed.nodes {
                node.isDurable = true
                node.restart()
            }
            try await bed.locks.acquire("job").release()
            for node in bed.nodes { node.isDurable = false }
            let error = await code { try await bed.locks.acquire("job", wait: .upTo(.zero)) }
            #expect(error == .quorumUnreachable)
        }
    }

    @Test("Without the guard a restart within the second repeats a token: what it is there for")
    func repeatedToken() async throws {
        try await LockTestBed.with(nodes: 3, configuration: Self.configuration(.unsafeOff)) { bed in
            let first = try await bed.locks.acquire("job")
            try await first.release()
            // No time passes on this clock: it is still the same second when they are back.
            for node in bed.nodes { node.forgetEverything() }
            let second = try await bed.locks.acquire("job")
            #expect(second.fencingToken == first.fencingToken)
            try await second.release()
        }
    }

    @Test("With one node the guard is off unless it is asked for")
    func loneNode() async throws {
        for (restartGuard, expected) in [
            (RedisLocks.Configuration.RestartGuard.automatic, LockError.Code?.none), (.on, .quorumUnreachable),
        ] {
            try await LockTestBed.with(configuration: Self.configuration(restartGuard)) { bed in
                try await bed.locks.acquire("job").release()
                bed.nodes[0].forgetEverything()
                let error = await code {
                    try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(1))) }
                }
                #expect(error == expected)
            }
        }
    }

    @Test("A node whose clock is off does not vote, and the report says by how much")
    func skewedNode() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            try await bed.locks.acquire("job").release()
            bed.nodes[2].stepClock(by: .seconds(5))
            try await bed.locks.acquire("job").release()
            await bed.settle()
            bed.nodes[0].inject(.hang, into: [.acquire])
            let error = await #expect(throws: LockError.self) {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(2))) }
            }
            #expect(error?.code == .quorumUnreachable)
            // What is certain: the nodes' times were read at different instants, between which clocks may drift.
            guard case .clockSkewed(let skew)? = error?.nodes.last?.outcome else {
                Issue.record("\(error as Any)")
                return
            }
            #expect(skew > .milliseconds(4_900) && skew <= .seconds(5))
            await bed.settle()
            #expect(!bed.nodes.contains { $0.isHeld("job") }, "its grant was taken back")
        }
    }

    @Test("During a hold: one clock that jumps is tolerated, two of three end the lease", arguments: [1, 2])
    func stepDuringHold(jumping: Int) async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            for node in bed.nodes.prefix(jumping) { node.stepClock(by: .milliseconds(-500)) }
            await bed.advance(by: .seconds(4))
            #expect(lease.isValid == (jumping == 1))
            if jumping == 2 { #expect(await lease.lost() == .clockStepped) }
        }
    }
}
