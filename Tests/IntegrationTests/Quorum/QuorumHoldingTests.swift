import RedisLocks
import RedisLocksTesting
import TestSupport
import Testing

/// Rows 18, 42, 43 and 47 of the fault matrix: leases that are held, given back, and waited for.
@Suite("A quorum under attack: holding and waiting", .timeLimit(.minutes(2)))
struct QuorumHoldingTests {
    @Test(
        "Row 18: the machine sleeps: the lease is lost when it wakes, before anything else is done", arguments: [1, 3])
    func suspended(nodes: Int) async throws {
        try await LockTestBed.with(nodes: nodes) { bed in
            let lease = try await bed.locks.acquire("x", ttl: .seconds(10))
            await bed.advance(by: .seconds(5))
            #expect(lease.isValid)
            await bed.standStill(for: .seconds(60))
            #expect(!lease.isValid)
            #expect(await lease.lost() == .expired)
        }
    }

    @Test("Row 42: an extension whose answers come after the old deadline: lost, although the nodes said yes")
    func lateExtension() async throws {
        try await withNodes(.init(isProxied: true), configuration: .short(.seconds(2))) { quorum, locks in
            let lease = try await locks.acquire("x")
            let deadline = lease.deadline
            for proxy in quorum.proxies { proxy.set(.replies, .extend, .hold) }
            #expect(await lease.lost() == .expired)
            #expect(ContinuousClock.now >= deadline && lease.deadline == deadline)
            for proxy in quorum.proxies { try await proxy.waitForReplies(.extend, count: 1) }
            for proxy in quorum.proxies { proxy.heal() }
            #expect(!lease.isValid, "a lost lease stays lost")
            let error = await #expect(throws: LockError.self) { try await lease.release() }
            #expect(error?.code == .leaseLost(.expired))
        }
    }

    @Test("Row 43: a release by whoever is not the owner any more, and a second one, do nothing to the next holder")
    func foreignRelease() async throws {
        try await withNodes { quorum, locks in
            let lease = try await locks.acquire("x")
            try await quorum.withClient { others in
                #expect(try await others.breakLock("x"))
                let next = try await others.acquire("x")
                let error = await #expect(throws: LockError.self) { try await lease.release() }
                #expect(error?.code == .leaseLost(.taken))
                let again = await #expect(throws: LockError.self) { try await lease.release() }
                #expect(again?.code == .notHeld)
                try await quorum.waitUntilHeld("x", by: [0, 1, 2])
                try await next.release()
            }
        }
    }

    @Test("Row 47: cancelled while the nodes are asked: no key is left")
    func cancelledInAcquire() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            for proxy in quorum.proxies { proxy.set(.requests, .acquire, .hold) }
            let task = Task { try await locks.acquire("x") }
            for proxy in quorum.proxies { try await proxy.waitForHeld(.requests, count: 1) }
            task.cancel()
            try await expectCancelled(task)
            for proxy in quorum.proxies { proxy.heal() }
            for proxy in quorum.proxies { try await proxy.waitForReplies(.release, count: 1) }
            #expect(try quorum.holders(of: "x") == [])
        }
    }

    @Test("Row 47: cancelled while a confirmation is under way: no key is left, and its token is not used again")
    func cancelledInConfirm() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            try quorum.setCounter(of: "x", to: [farAhead + 9, farAhead, farAhead])
            quorum.proxies[1].set(.requests, .confirm, .hold)
            quorum.proxies[2].set(.replies, .acquire, .hold)
            let task = Task { try await locks.acquire("x") }
            try await quorum.proxies[1].waitForHeld(.requests, count: 1)
            task.cancel()
            try await expectCancelled(task)
            for proxy in quorum.proxies { proxy.heal() }
            for proxy in quorum.proxies { try await proxy.waitForReplies(.release, count: 1) }
            #expect(try quorum.holders(of: "x") == [])
            let next = try await locks.acquire("x")
            #expect(next.fencingToken > farAhead + 10)
            try await next.release()
        }
    }

    @Test("Row 47: cancelled while somebody else holds the lock, between two attempts or in one")
    func cancelledInBackOff() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            try await quorum.withClient(isDirect: true) { others in
                let lease = try await others.acquire("x")
                let task = Task { try await locks.acquire("x", wait: .patient) }
                for proxy in quorum.proxies { try await proxy.waitForReplies(.acquire, count: 2) }
                task.cancel()
                try await expectCancelled(task)
                #expect(lease.isValid)
                try await quorum.waitUntilHeld("x", by: [0, 1, 2])
                try await lease.release()
            }
            try await quorum.waitUntilFree("x")
        }
    }

    @Test("Row 47: cancelled in the line of this process: the others go on")
    func cancelledInLine() async throws {
        try await withNodes { quorum, locks in
            let lease = try await locks.acquire("x")
            let first = Task { try await locks.acquire("x", wait: .patient) }
            let second = Task { try await locks.acquire("x", wait: .patient) }
            first.cancel()
            try await expectCancelled(first)
            try await lease.release()
            try await second.value.release()
            try await quorum.waitUntilFree("x")
        }
    }

    @Test("Row 47: cancelled in the body: the body ends, and the lock is given back")
    func cancelledInBody() async throws {
        try await withNodes { quorum, locks in
            let (started, start) = AsyncStream.makeStream(of: Void.self)
            let task = Task {
                try await locks.withLock("x") { _ in
                    start.yield()
                    await untilCancelled()
                    try Task.checkCancellation()
                }
            }
            for await _ in started { break }
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            try await quorum.waitUntilFree("x")
        }
    }

    @Test("Row 47: cancelled while the release is under way: it goes through")
    func cancelledInRelease() async throws {
        try await withNodes(.init(isProxied: true)) { quorum, locks in
            let lease = try await locks.acquire("x")
            for proxy in quorum.proxies { proxy.set(.requests, .release, .hold) }
            let task = Task { try await lease.release() }
            for proxy in quorum.proxies { try await proxy.waitForHeld(.requests, count: 1) }
            task.cancel()
            for proxy in quorum.proxies { proxy.heal() }
            try await task.value
            try await quorum.waitUntilFree("x")
        }
    }

    private func expectCancelled(_ task: Task<Lease, any Error>) async throws {
        let error = await #expect(throws: LockError.self) { try await task.value }
        #expect(error?.code == .cancelled)
    }

    #if os(Linux)
        @Test("Row 48: no descriptor is left: unreachable, and recovers by itself when there are some again")
        func noDescriptors() async {
            await #expect(processExitsWith: .success) {
                // The runtime opens what its timers need with the first sleep, and traps if it cannot.
                try await Task.sleep(for: .milliseconds(1))  // sleep: that one has been is what counts
                try await RedisTestQuorum.with { quorum in
                    let configuration = RedisLocks.Configuration.short(.seconds(3), maximumTTL: .seconds(60))
                    try await quorum.withClient(configuration) { locks in
                        _ = try await locks.initializeNodes()
                        try await locks.acquire("x").release()
                        // Open connections stay, but for those that the servers close now; there can be no new ones.
                        for server in quorum.servers { try server.command("PING") }
                        let limit = limitDescriptors(to: 3)
                        for server in quorum.servers {
                            try server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                        }
                        let error = try await refusal(locks)
                        #expect(error.code == .quorumUnreachable, "\(error)")
                        _ = limitDescriptors(to: limit)
                        try await locks.acquire("x", wait: .patient).release()
                    }
                }
            }
        }
    #endif
}

#if os(Linux)
    /// Returns the limit before. A descriptor's number is less than the limit, so none below those that are open is free.
    private func limitDescriptors(to count: rlim_t) -> rlim_t {
        var limit = rlimit()
        getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        defer {
            limit.rlim_cur = count
            setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit)
        }
        return limit.rlim_cur
    }
#endif
