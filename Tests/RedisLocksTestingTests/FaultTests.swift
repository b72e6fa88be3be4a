import RedisLocks
import RedisLocksTesting
import Testing

@Suite("Faults", .timeLimit(.minutes(1)))
struct FaultTests {
    @Test("An acquire whose reply is lost is asked again by the same owner, and gets the same token")
    func lostAcquireReply() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.applyThenLoseReply, into: [.acquire], times: 1)
            async let pending = bed.locks.acquire("job")
            await bed.nodes[0].waitForRequests(.acquire)
            let granted = bed.nodes[0].fence(of: "job")
            let lease = try await pending
            #expect(bed.nodes[0].requestCount(.acquire) == 2)
            #expect(lease.fencingToken == granted)
            #expect(bed.nodes[0].fence(of: "job") == granted)
            try await lease.release()
        }
    }

    @Test("An acquire that was not executed is asked again, too")
    func lostAcquire() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.loseReply, into: [.acquire], times: 1)
            let lease = try await bed.locks.acquire("job")
            #expect(bed.nodes[0].requestCount(.acquire) == 2)
            try await lease.release()
        }
    }

    @Test("Validity counts from the request that was answered")
    func validityAfterRetry() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.hang, into: [.acquire], times: 1)
            let start = bed.now
            let lease = try await bed.advanceUntilDone { try await bed.locks.acquire("job", ttl: .seconds(10)) }
            #expect(bed.now == start + .milliseconds(500))
            #expect(lease.deadline == bed.now + .milliseconds(9898))
            try await lease.release()
        }
    }

    @Test("A server that stands still and goes on again keeps nothing of an attempt that was given up")
    func pausedServer() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].pause()
            let result = await code {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(3))) }
            }
            #expect(result == .quorumUnreachable)
            #expect(bed.nodes[0].fence(of: "job") == nil)
            bed.nodes[0].resume()
            await bed.settle()
            #expect(bed.nodes[0].fence(of: "job") != nil, "the requests that had piled up were executed")
            #expect(!bed.nodes[0].isHeld("job"))
        }
    }

    @Test("A server that is out of memory is waited for; the error has its words")
    func outOfMemory() async throws {
        let line = "OOM command not allowed when used memory > 'maxmemory'."
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.refuse(line), into: [.acquire])
            do {
                _ = try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(1))) }
                Issue.record("nothing was thrown")
            } catch let error as LockError {
                #expect(error.code == .quorumUnreachable)
                #expect(error.nodes.map(\.outcome) == [.refused(line)])
            }
            #expect(bed.nodes[0].requestCount(.acquire) > 1)
            bed.nodes[0].heal()
            let hasRun = try await bed.locks.withLock("job") { _ in true }
            #expect(hasRun)
        }
    }

    @Test("What only an operator can mend fails at once", arguments: ["NOAUTH", "WRONGPASS", "NOPERM"])
    func misconfigured(word: String) async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.refuse("\(word) said the server"))
            let start = bed.now
            #expect(await code { try await bed.locks.acquire("job") } == .misconfigured)
            #expect(bed.now == start)
        }
    }

    @Test("A counter that is no number is a matter for an operator")
    func corruptCounter() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].withRedis { redis, _ in
                redis.set(Array("{job}:fence".utf8), to: InMemoryRedis.Entry(.string(Array("abc".utf8))))
            }
            #expect(await code { try await bed.locks.acquire("job") } == .misconfigured)
            #expect(!bed.nodes[0].isHeld("job"))
        }
    }

    @Test("An unreachable server is waited for until the budget is spent")
    func unreachable() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.unreachable)
            let result = await code {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(2))) }
            }
            #expect(result == .quorumUnreachable)
        }
    }

    @Test(
        "The very first request has the time of a connection attempt on top of its budget", arguments: [0, 100, 1500])
    func firstRequest(milliseconds: Int) async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.hang)
            let start = bed.now
            let result = await code {
                try await bed.advanceUntilDone {
                    try await bed.locks.acquire("job", wait: .upTo(.milliseconds(milliseconds)))
                }
            }
            #expect(result == .quorumUnreachable)
            // And then that of one request and its repetition, each of one node timeout.
            #expect(bed.now - start <= max(.milliseconds(milliseconds), .seconds(2)) + .seconds(1))
        }
    }

    @Test("The state of a name is read without taking it, and a lock is broken without its fence")
    func operators() async throws {
        try await LockTestBed.with { bed in
            #expect(try await bed.locks.status(of: "job").isHeld == false)
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            let status = try await bed.locks.status(of: "job")
            #expect(status.nodes.map(\.state) == [.held(remaining: .seconds(10))])
            #expect(status.nodes.map(\.fence) == [lease.fencingToken])
            #expect(try await bed.locks.breakLock("job"))
            #expect(try await !bed.locks.breakLock("job"))
            #expect(bed.nodes[0].fence(of: "job") == lease.fencingToken)
            #expect(await code { try await lease.release() } == .leaseLost(.taken))
        }
    }
}

@Suite("Faults of several nodes", .timeLimit(.minutes(1)))
struct QuorumFaultTests {
    @Test("One of three may be silent: the lock is granted, and its late grant is given back")
    func oneSilent() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            try await bed.locks.connect()
            bed.nodes[2].pause()
            let lease = try await bed.locks.acquire("job")
            #expect(!bed.nodes[2].isHeld("job"))
            bed.nodes[2].resume()
            await bed.settle()
            #expect(bed.nodes[2].isHeld("job"))
            #expect(bed.nodes.map { $0.fence(of: "job") } == Array(repeating: lease.fencingToken, count: 3))
            try await lease.release()
            await bed.settle()
            #expect(bed.nodes.allSatisfy { !$0.isHeld("job") })
        }
    }

    @Test("Without a majority nothing is held anywhere")
    func twoDown() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            bed.nodes[1].inject(.unreachable)
            bed.nodes[2].inject(.hang)
            let result = await code {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(2))) }
            }
            #expect(result == .quorumUnreachable)
            await bed.settle()
            #expect(bed.nodes.allSatisfy { !$0.isHeld("job") })
        }
    }

    @Test("Counters that differ are brought together in one round of confirmation")
    func divergedCounters() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            let ahead: Int64 = 4_000_000_000_000_000
            bed.nodes[0].withRedis { redis, _ in
                redis.set(Array("{job}:fence".utf8), to: InMemoryRedis.Entry(.string(Array("\(ahead)".utf8))))
            }
            let lease = try await bed.locks.acquire("job")
            #expect(lease.fencingToken == ahead + 1)
            #expect(bed.nodes.map { $0.requestCount(.confirm) } == [0, 1, 0])
            try await lease.release()
        }
    }

    @Test("A lease outlives one lost node, and is lost with the second")
    func nodesForget() async throws {
        try await LockTestBed.with(nodes: 3) { bed in
            let lease = try await bed.locks.acquire("job")
            bed.nodes[0].forgetEverything()
            await bed.advance(by: .seconds(30))
            #expect(lease.isValid)
            bed.nodes[1].forgetEverything()
            await bed.advance(by: .seconds(4))
            #expect(await lease.lost() == .taken)
        }
    }
}
