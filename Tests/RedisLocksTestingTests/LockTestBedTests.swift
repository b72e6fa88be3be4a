import RedisLocks
import RedisLocksTesting
import Testing

/// What a user of the library might test: it must stop when it loses its lock, and say whether it was done.
private func runNightlyJob(locks: RedisLocks, _ steps: Recorder<String>) async throws {
    try await locks.withLock("job:nightly") { lease in
        steps.record("started")
        for await event in lease.events {
            if case .lost = event { break }
        }
        steps.record("stopped")
    }
}

@Suite("The test bed", .timeLimit(.minutes(1)))
struct LockTestBedTests {
    @Test("The lease was just lost: five lines")
    func fiveLines() async throws {
        let steps = Recorder<String>()

        let bed = try LockTestBed()
        let job = Task { try await runNightlyJob(locks: bed.locks, steps) }
        await bed.loseLease("job:nightly")
        await #expect(throws: LockError.self) { try await job.value }
        await bed.shutdown()

        #expect(steps.all == ["started", "stopped"])
        #expect(bed.nodes[0].isHeld("job:nightly"), "somebody else has it")
    }

    @Test("A lease can be lost inside its own body, in both ways", arguments: [1, 3])
    func lostInside(nodes: Int) async throws {
        for (loss, reason) in [(LockTestBed.Loss.taken, LeaseLossReason.taken), (.expired, .expired)] {
            try await LockTestBed.with(nodes: nodes) { bed in
                let result = await code {
                    try await bed.locks.withLock("a") { lease in
                        #expect(lease.isValid)
                        await bed.loseLease("a", as: loss)
                        #expect(!lease.isValid)
                        #expect(Task.isCancelled)
                    }
                }
                #expect(result == .leaseLost(reason))
            }
        }
    }

    @Test("Losing one lease leaves the others alone")
    func othersAreKept() async throws {
        try await LockTestBed.with { bed in
            let (doomed, kept) = (try await bed.locks.acquire("a"), try await bed.locks.acquire("b"))
            await bed.loseLease("a", as: .expired)
            #expect(!doomed.isValid)
            #expect(kept.isValid)
            await bed.advance(by: .seconds(100))
            try await kept.release()
        }
    }

    @Test("Faults hit the requests they are aimed at, as often as they are told to, in their order")
    func faultPlan() async throws {
        try await LockTestBed.with { bed in
            let node = bed.nodes[0]
            node.inject(.refuse("NOPERM first"), into: [.inspect], times: 2)
            node.inject(.refuse("NOPERM second"), into: [.inspect, .breakLock], times: 1)
            func state() async throws -> LockStatus.Node.State? {
                try await bed.locks.status(of: "a").nodes.first?.state
            }
            let states = [try await state(), try await state(), try await state(), try await state()]
            #expect(states == [.unknown("NOPERM first"), .unknown("NOPERM first"), .unknown("NOPERM second"), .free])
            node.inject(.unreachable)
            #expect(try await state() != .free)
            #expect(try await state() != .free)
            node.heal()
            #expect(try await state() == .free)
        }
    }

    @Test(
        "Every fault completes a request once, at its deadline at the latest",
        arguments: [
            Fault.hang, .refuse("BUSY"), .unreachable, .loseReply, .applyThenLoseReply, .delayReply(.seconds(1)),
            .delayReply(.seconds(100)),
        ])
    func completesOnce(fault: Fault) async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(fault)
            let start = bed.now
            let status = try await bed.advanceUntilDone { try await bed.locks.status(of: "a") }
            #expect(bed.now - start <= .seconds(2), "the connect timeout is the deadline of a look at a name")
            let isAnswered = fault == .delayReply(.seconds(1))
            #expect((status.nodes.first?.state == .free) == isAnswered)
        }
    }

    @Test("A slow reply holds up the ones behind it, and none is lost")
    func repliesStayInOrder() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.delayReply(.seconds(1)), into: [.inspect], times: 1)
            let order = Recorder<Int>()
            await withTaskGroup(of: Void.self) { group in
                for number in 0..<5 {
                    group.addTask {
                        _ = try? await bed.locks.status(of: "a")
                        order.record(number)
                    }
                    await bed.settle()
                }
                #expect(order.all.isEmpty)
                await bed.advance(by: .seconds(1))
                await group.waitForAll()
            }
            #expect(order.all == [0, 1, 2, 3, 4])
        }
    }

    @Test("A server's clock that jumps ahead lets its keys expire early")
    func clockStep() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("a", ttl: .seconds(10))
            bed.nodes[0].stepClock(by: .seconds(11))
            #expect(!bed.nodes[0].isHeld("a"))
            #expect(lease.isValid, "the holder cannot know yet")
            let other = try await bed.locks.acquireIfAvailable("b")
            #expect(other != nil)
        }
    }

    @Test("Without shutdown nothing is left running")
    func forgottenShutdown() async throws {
        weak var locks: RedisLocks?
        do {
            let bed = try LockTestBed()
            locks = bed.locks
            _ = try await bed.locks.status(of: "a")
            #expect(locks != nil)
        }
        #expect(locks == nil)
    }
}
