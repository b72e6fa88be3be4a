import RedisLocks
import RedisLocksTesting
import Testing

/// Redlock in virtual time. What real servers and a real network do to it stands in IntegrationTests.
@Suite("A quorum", .timeLimit(.minutes(1)))
struct QuorumTests {
    @Test("A majority decides: a node that hangs costs neither the acquire nor the release any time", arguments: 2...9)
    func minorityHangs(nodes: Int) async throws {
        try await LockTestBed.with(nodes: nodes) { bed in
            let tolerated = (nodes - 1) / 2
            for node in bed.nodes.prefix(tolerated) { node.pause() }
            let start = bed.now
            let lease = try await bed.locks.acquire("job")
            #expect(bed.now == start)
            #expect(bed.nodes.count { $0.isHeld("job") } == nodes - tolerated)
            try await lease.release()
            #expect(bed.now == start)
            #expect(!bed.nodes.contains { $0.isHeld("job") })
        }
    }

    @Test("A node that answers after the grant is kept, counts from then on, and is released with the others")
    func lateWinner() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            bed.nodes[2].inject(.delayReply(.milliseconds(200)), into: [.acquire], times: 1)
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            // One of those that answered in time forgets: without the late one the majority would be gone.
            bed.nodes[0].expire("job")
            bed.nodes[0].inject(.refuse("MISCONF disk"), into: [.acquire])
            await bed.advance(by: .seconds(30))
            #expect(lease.isValid)
            try await lease.release()
            #expect(!bed.nodes[2].isHeld("job"))
        }
    }

    @Test("Without a majority: a clear refusal with the outcome of every node, and nothing left behind")
    func majorityGone() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            bed.nodes[1].inject(.unreachable)
            bed.nodes[2].inject(.hang)
            let error = await #expect(throws: LockError.self) {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(2))) }
            }
            #expect(error?.code == .quorumUnreachable)
            #expect(error?.nodes.map(\.node) == ["memory://0", "memory://1", "memory://2"])
            guard let last = error?.nodes.last?.outcome, case .timedOut = last else {
                Issue.record("\(error as Any)")
                return
            }
            await bed.settle()
            #expect(!bed.nodes[0].isHeld("job"))
            // And by itself all is well again.
            for node in bed.nodes { node.heal() }
            try await bed.locks.acquire("job").release()
        }
    }

    @Test("Nodes that disagree on the counter need exactly one round of CONFIRM, and agree afterwards")
    func divergedCounters() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            try await bed.locks.acquire("job").release()
            let name = try LockName("job")
            let high: Int64 = (bed.nodes[0].fence(of: "job") ?? 0) + 5_000_000
            bed.nodes[0].withRedis { redis, _ in
                redis.set(name.fenceKey, to: InMemoryRedis.Entry(.string(Array("\(high)".utf8))))
            }
            let lease = try await bed.locks.acquire("job")
            #expect(lease.fencingToken == high + 1)
            #expect(bed.nodes.map { $0.requestCount(.confirm) }.reduce(0, +) == 1, "two make a majority")
            // The third learns of it with the first renewal.
            await bed.advance(by: .seconds(4))
            #expect(bed.nodes.map { $0.fence(of: "job") } == [high + 1, high + 1, high + 1])
            try await lease.release()
        }
    }

    @Test("Several names: one token for the set, greater than every token of every member, all or nothing")
    func sets() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            let first = try await bed.locks.acquire("a")
            try await first.release()
            let second = try await bed.locks.acquire("b")
            await #expect(throws: LockError.self) {
                try await bed.advanceUntilDone {
                    try await bed.locks.acquire(["a", "b"], wait: .upTo(.milliseconds(10)))
                }
            }
            #expect(!bed.nodes.contains { $0.isHeld("a") })
            try await second.release()
            let both = try await bed.locks.acquire(["a", "b"])
            #expect(both.fencingToken > max(first.fencingToken, second.fencingToken))
            #expect(
                bed.nodes.allSatisfy {
                    $0.fence(of: "a") == both.fencingToken && $0.fence(of: "b") == both.fencingToken
                })
            try await both.release()
        }
    }

    @Test("A lease that outlives its nodes' restarts, one after the other, is planted anew and keeps its majority")
    func replanting() async throws {
        var configuration = RedisLocks.Configuration()
        configuration.maximumTTL = .seconds(10)
        try await LockTestBed.with(nodes: 3, configuration: configuration) { bed in
            let lease = try await bed.locks.acquire("leader", ttl: .seconds(10))
            for node in bed.nodes {
                node.forgetEverything()
                await bed.advance(by: .seconds(5))
                #expect(!node.isHeld("leader"), "it does not vote yet")
                await bed.advance(by: .seconds(15))
                #expect(node.isHeld("leader"))
                #expect(lease.isValid)
            }
            try await lease.release()
        }
    }

    @Test("A node that was given the lease anew does not count in the extension that found it without")
    func replantDoesNotCountAtOnce() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            for node in bed.nodes.prefix(2) { node.expire("job") }
            await bed.advance(by: .seconds(4))
            #expect(await lease.lost() == .taken)
            #expect(bed.nodes[0].requestCount(.acquire) == 1)
        }
    }
}
