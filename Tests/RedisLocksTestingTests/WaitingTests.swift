import RedisLocks
import RedisLocksTesting
import Testing

@Suite("Waiting", .timeLimit(.minutes(1)))
struct WaitingTests {
    @Test("A thousand local tasks get the lock in the order in which they came")
    func firstComeFirstServed() async throws {
        try await LockTestBed.with { bed in
            let order = Recorder<Int>()
            let tokens = Recorder<Int64>()
            let first = try await bed.locks.acquire("job")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<1000 {
                    group.addTask {
                        try await bed.locks.withLock("job") { lease in
                            order.record(number)
                            tokens.record(lease.fencingToken)
                        }
                    }
                    // Each stands in line before the next one comes.
                    await bed.settle()
                }
                #expect(bed.nodes[0].requestCount(.acquire) == 1, "only the head of the line talks to the server")
                try await first.release()
                try await group.waitForAll()
            }
            #expect(order.all == Array(0..<1000))
            #expect(tokens.all == tokens.all.sorted() && Set(tokens.all).count == 1000)
            #expect(bed.nodes[0].requestCount(.acquire) == 1001)
            #expect(bed.nodes[0].requestCount(.release) == 1001)
        }
    }

    @Test("Waiting ends when its budget is spent")
    func budget() async throws {
        try await LockTestBed.with { bed in
            bed.hold("job", for: .seconds(60))
            let start = bed.now
            let result = await code {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(2))) }
            }
            #expect(result == .waitTimedOut)
            #expect(bed.now - start >= .seconds(2))
            #expect(bed.now - start < .milliseconds(2600))
        }
    }

    @Test("A foreign lock without expiry is waited for by back-off, and never broken")
    func foreverHeld() async throws {
        try await LockTestBed.with { bed in
            bed.hold("job")
            let states = try await bed.locks.status(of: "job").nodes.map(\.state)
            #expect(states == [.held(remaining: nil)])
            do {
                _ = try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.seconds(60))) }
                Issue.record("nothing was thrown")
            } catch let error as LockError {
                #expect(error.code == .waitTimedOut)
                #expect(error.nodes.map(\.outcome) == [.heldByOther(remaining: nil)])
            }
            #expect(bed.nodes[0].isHeld("job"))
            #expect((60...1000).contains(bed.nodes[0].requestCount(.acquire)), "neither too seldom nor a busy poll")
        }
    }

    @Test("A waiter behind a local holder gives up on time, too")
    func localBudget() async throws {
        try await LockTestBed.with { bed in
            let holder = try await bed.locks.acquire("job")
            async let result = code { try await bed.locks.acquire("job", wait: .upTo(.seconds(2))) }
            await bed.advance(by: .seconds(2))
            #expect(await result == .waitTimedOut)
            #expect(bed.nodes[0].requestCount(.acquire) == 1)
            try await holder.release()
        }
    }

    @Test("A name that expires is taken soon after")
    func expiry() async throws {
        try await LockTestBed.with { bed in
            bed.hold("job", for: .seconds(5))
            let start = bed.now
            let lease = try await bed.advanceUntilDone { try await bed.locks.acquire("job") }
            #expect(bed.now - start > .seconds(5))
            #expect(bed.now - start < .milliseconds(6100))
            try await lease.release()
        }
    }

    @Test("A task that is cancelled while it waits leaves at once, and leaves no key")
    func cancellation() async throws {
        try await LockTestBed.with { bed in
            bed.hold("job", for: .seconds(5))
            let task = Task(executorPreference: bed.executor) { try await bed.locks.withLock("job") { _ in } }
            await bed.nodes[0].waitForRequests(.acquire)
            await bed.settle()
            task.cancel()
            await #expect(throws: CancellationError.self) { try await task.value }
            await bed.advance(by: .seconds(6))
            #expect(!bed.nodes[0].isHeld("job"))
            #expect(bed.nodes[0].requestCount(.acquire) == 1)
        }
    }

    @Test("A task that is cancelled while its request is under way leaves no key")
    func cancellationInFlight() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.delayReply(.milliseconds(400)), into: [.acquire])
            let task = Task(executorPreference: bed.executor) { try await bed.locks.acquire("job") }
            await bed.nodes[0].waitForRequests(.acquire)
            #expect(bed.nodes[0].isHeld("job"))
            task.cancel()
            #expect(await code { try await task.value } == .cancelled)
            await bed.settle()
            #expect(!bed.nodes[0].isHeld("job"))
        }
    }

    @Test("A name asked for inside its own body is refused at once; other names are not")
    func reentrancy() async throws {
        try await LockTestBed.with { bed in
            try await bed.locks.withLock("job") { _ in
                let inner = await code { try await bed.locks.withLock("job") { _ in } }
                #expect(inner == .reentrant)
                let both = await code { try await bed.locks.acquire(["other", "job"]) }
                #expect(both == .reentrant)
                try await bed.locks.withLock("other") { _ in }
            }
        }
    }

    @Test("Held by someone else is nil, not an error")
    func ifAvailable() async throws {
        try await LockTestBed.with { bed in
            bed.hold("job", for: .seconds(5))
            let whileHeld = try await bed.locks.withLockIfAvailable("job") { _ in true }
            #expect(whileHeld == nil)
            bed.nodes[0].expire("job")
            let afterwards = try await bed.locks.withLockIfAvailable("job") { _ in true }
            #expect(afterwards == true)
        }
    }

    @Test("Several names are taken all or none")
    func severalNames() async throws {
        try await LockTestBed.with { bed in
            bed.hold("b", for: .seconds(5))
            let result = await code {
                try await bed.advanceUntilDone { try await bed.locks.acquire(["a", "b"], wait: .upTo(.seconds(1))) }
            }
            #expect(result == .waitTimedOut)
            #expect(!bed.nodes[0].isHeld("a"))
            await bed.advance(by: .seconds(5))
            let lease = try await bed.locks.acquire(["b", "a"])
            #expect(lease.names == ["b", "a"])
            #expect(bed.nodes[0].isHeld("a") && bed.nodes[0].isHeld("b"))
            #expect(bed.nodes[0].fence(of: "a") == lease.fencingToken)
            #expect(bed.nodes[0].fence(of: "b") == lease.fencingToken)
            try await lease.release()
            #expect(!bed.nodes[0].isHeld("a") && !bed.nodes[0].isHeld("b"))
        }
    }

    @Test("Sets that overlap crosswise do not wait for each other in a circle")
    func overlappingSets() async throws {
        try await LockTestBed.with { bed in
            let sets = [["a", "b"], ["b", "c"], ["c", "a"], ["b", "a"], ["c", "b", "a"]]
            let done = Recorder<[String]>()
            try await withThrowingTaskGroup(of: Void.self) { group in
                for round in 0..<100 {
                    let names = sets[round % sets.count]
                    group.addTask { try await bed.locks.withLock(names) { lease in done.record(lease.names) } }
                }
                try await group.waitForAll()
            }
            #expect(done.all.count == 100)
        }
    }

    @Test("Shutdown releases what is held, ends bodies and waiters, and refuses what comes later")
    func shutdown() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("a")
            async let body = code { try await bed.locks.withLock("b") { _ in await waitForCancellation() } }
            async let waiter = code { try await bed.locks.acquire("a") }
            await bed.settle()
            let start = bed.now
            await bed.shutdown()
            #expect(await body == .leaseLost(.shutdown))
            #expect(await waiter == .closed)
            #expect(await lease.lost() == .shutdown)
            #expect(await code { try await bed.locks.acquire("c") } == .closed)
            #expect(!bed.nodes[0].isHeld("a") && !bed.nodes[0].isHeld("b"))
            #expect(bed.now == start, "nothing had to be waited for")
        }
    }

    @Test("A body that ignores its cancellation is given the grace, and keeps its key")
    func shutdownGrace() async throws {
        var configuration = RedisLocks.Configuration()
        configuration.shutdownGrace = .seconds(3)
        try await LockTestBed.with(configuration: configuration) { bed in
            let (stream, end) = AsyncStream.makeStream(of: Void.self)
            async let body = code {
                try await bed.locks.withLock("b") { _ in await Task { for await _ in stream {} }.value }
            }
            await bed.settle()
            let start = bed.now
            await bed.shutdown()
            #expect(bed.now == start + .seconds(3))
            #expect(bed.nodes[0].isHeld("b"), "the body may still be working under it")
            end.finish()
            #expect(await body == .leaseLost(.shutdown))
        }
    }
}
