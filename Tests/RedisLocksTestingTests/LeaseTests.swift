import RedisLocks
import RedisLocksTesting
import Testing

@Suite("Leases", .timeLimit(.minutes(1)))
struct LeaseTests {
    @Test("A lease is valid until its ttl has passed, less the drift")
    func deadline() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            #expect(lease.deadline == bed.now + .milliseconds(9898))
            #expect(lease.remaining == .milliseconds(9898))
            #expect(lease.isValid)
            #expect(bed.nodes[0].fence(of: "job") == lease.fencingToken)
            try await lease.release()
            #expect(!lease.isValid)
            #expect(lease.remaining == .zero)
            #expect(!bed.nodes[0].isHeld("job"))
        }
    }

    @Test("Renewal at a third of the ttl keeps a lease for a hundred ttls")
    func renewal() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            await bed.advance(by: .seconds(1000))
            try lease.checkValid()
            #expect((270...334).contains(bed.nodes[0].requestCount(.extend)))
            #expect(bed.nodes[0].fence(of: "job") == lease.fencingToken)
            try await lease.release()
        }
    }

    @Test("Without an answer the lease is lost at its local deadline, and not before")
    func lossByDeadline() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            bed.nodes[0].inject(.hang, into: [.extend])
            await bed.advance(to: lease.deadline - .microseconds(1))
            #expect(lease.isValid)
            await bed.advance(by: .microseconds(1))
            #expect(!lease.isValid)
            #expect(await lease.lost() == .expired)
            #expect(await code { try lease.checkValid() } == .leaseLost(.expired))
            // A lost lease stays lost, although the server would have renewed it.
            bed.nodes[0].heal()
            await bed.advance(by: .seconds(20))
            #expect(await code { try await lease.release() } == .leaseLost(.expired))
        }
    }

    @Test("A process that stood still past the deadline has lost its lease, and does not resurrect it")
    func standStill() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            await bed.standStill(for: .seconds(9))
            #expect(lease.isValid, "the late renewal came in time")
            await bed.standStill(for: .milliseconds(9950))
            #expect(bed.nodes[0].isHeld("job"), "the server's key lives a little longer than the lease")
            #expect(bed.nodes[0].requestCount(.extend) == 1)
            #expect(await lease.lost() == .expired)
        }
    }

    @Test("A thousand leases are renewed side by side")
    func manyLeases() async throws {
        try await LockTestBed.with { bed in
            var leases: [Lease] = []
            for number in 0..<1000 { leases.append(try await bed.locks.acquire("job:\(number)", ttl: .seconds(10))) }
            await bed.advance(by: .seconds(30))
            #expect(leases.count(where: \.isValid) == 1000)
            #expect((7000...10_000).contains(bed.nodes[0].requestCount(.extend)))
            for lease in leases { try await lease.release() }
            let keys = bed.nodes[0].withRedis { redis, now in redis.keys(at: now).count }
            #expect(keys == 1000, "only the counters stay")
        }
    }

    @Test("A renewal that is answered after the old deadline does not count")
    func lateExtension() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            bed.nodes[0].inject(.delayReply(.seconds(7)), into: [.extend])
            await bed.advance(by: .seconds(10))
            #expect(await lease.lost() == .expired)
        }
    }

    @Test("When the lease is lost the body is cancelled, awaited, and its own error kept")
    func bodyIsCancelled() async throws {
        struct CleanUpFailed: Error {}
        try await LockTestBed.with { bed in
            let steps = Recorder<String>()
            async let result: Void = bed.locks.withLock("job") { _ in
                await waitForCancellation()
                steps.record("cancelled")
                await Task.yield()
                steps.record("cleaned up")
                throw CleanUpFailed()
            }
            await bed.loseLease("job", as: .expired)
            do {
                try await result
                Issue.record("nothing was thrown")
            } catch let error as LockError {
                #expect(error.code == .leaseLost(.expired))
                #expect(error.bodyError is CleanUpFailed)
            }
            #expect(steps.all == ["cancelled", "cleaned up"])
        }
    }

    @Test("A name that was taken is noticed with the next renewal")
    func taken() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(9))
            bed.hold("job")
            #expect(lease.isValid)
            await bed.advance(by: .seconds(3.3))
            #expect(await lease.lost() == .taken)
            #expect(await code { try await lease.release() } == .leaseLost(.taken))
            #expect(bed.nodes[0].isHeld("job"), "the stranger's key must not be deleted")
        }
    }

    @Test("A server that forgot everything costs the lease; the next token is greater all the same")
    func forgotten() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job")
            bed.nodes[0].forgetEverything()
            await bed.advance(by: .seconds(4))
            #expect(await lease.lost() == .taken)
            let next = try await bed.locks.acquire("job")
            #expect(next.fencingToken > lease.fencingToken)
            try await next.release()
        }
    }

    @Test("A lease is not held longer than the maximum hold")
    func maximumHold() async throws {
        var configuration = RedisLocks.Configuration()
        configuration.maximumHold = .seconds(60)
        try await LockTestBed.with(configuration: configuration) { bed in
            let lease = try await bed.locks.acquire("job")
            await bed.advance(by: .seconds(59))
            #expect(lease.isValid)
            await bed.advance(by: .seconds(1))
            #expect(await lease.lost() == .maximumHold)
        }
    }

    @Test("The holder is warned when a third of the ttl is left, and told of renewals and the loss")
    func events() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(9))
            let events = lease.events
            await bed.advance(by: .seconds(3.3))
            let renewed = lease.deadline
            bed.nodes[0].inject(.refuse("LOADING Redis is loading the dataset in memory"), into: [.extend])
            await bed.advance(by: .seconds(20))
            var seen: [LeaseEvent] = []
            for await event in events { seen.append(event) }
            #expect(seen == [.renewed(deadline: renewed), .atRisk(remaining: .seconds(3)), .lost(.expired)])
        }
    }

    @Test("The names are given back although the task was cancelled")
    func releaseUnderCancellation() async throws {
        try await LockTestBed.with { bed in
            let task = Task(executorPreference: bed.executor) {
                try await bed.locks.withLock("job") { _ in await waitForCancellation() }
            }
            await bed.nodes[0].waitForRequests(.acquire)
            await bed.settle()
            task.cancel()
            try await task.value
            #expect(!bed.nodes[0].isHeld("job"))
            #expect(bed.nodes[0].requestCount(.release) == 1)
        }
    }

    @Test("A release whose reply is lost is asked again, and succeeds")
    func lostReleaseReply() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job")
            bed.nodes[0].inject(.applyThenLoseReply, into: [.release], times: 1)
            try await lease.release()
            #expect(bed.nodes[0].requestCount(.release) == 2)
            #expect(!bed.nodes[0].isHeld("job"))
            #expect(await code { try await lease.release() } == .notHeld)
        }
    }

    @Test("A release that nobody answers ends in bounded time")
    func unansweredRelease() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job")
            bed.nodes[0].inject(.hang, into: [.release])
            let start = bed.now
            let result = await code { try await bed.advanceUntilDone { try await lease.release() } }
            #expect(result == .quorumUnreachable)
            #expect(bed.now - start <= .milliseconds(1500))
        }
    }

    @Test("A lease that is thrown away is released")
    func abandoned() async throws {
        try await LockTestBed.with { bed in
            _ = try await bed.locks.acquire("job")
            await bed.settle()
            #expect(!bed.nodes[0].isHeld("job"))
        }
    }
}
