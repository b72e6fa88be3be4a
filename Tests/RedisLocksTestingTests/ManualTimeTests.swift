import Reactor
import RedisLocksTesting
import Testing

@Suite("A clock moved by hand", .timeLimit(.minutes(1)))
struct ManualTimeTests {
    /// A clock on a reactor of its own, which is stopped afterwards.
    private func with(_ body: (ManualTime) async throws -> Void) async throws {
        let time = ManualTime(reactor: try Reactor())
        defer { time.reactor.stop() }
        try await body(time)
    }

    private func schedule(_ time: ManualTime, _ delays: [Duration], _ fired: Recorder<Duration>) async {
        let start = time.now
        await withCheckedContinuation { continuation in
            time.reactor.execute {
                for delay in delays {
                    _ = time.schedule(at: start + delay) { fired.record(time.now - start) }
                }
                continuation.resume()
            }
        }
    }

    @Test("Timers fire in order, each at its own instant, and only up to the goal")
    func order() async throws {
        try await with { time in
            let start = time.now
            let fired = Recorder<Duration>()
            await schedule(time, [.seconds(3), .seconds(1), .seconds(2), .seconds(2), .seconds(9)], fired)
            #expect(time.pendingTimers == 5)
            await time.advance(by: .seconds(5))
            #expect(fired.all == [.seconds(1), .seconds(2), .seconds(2), .seconds(3)])
            #expect(time.now == start + .seconds(5))
            #expect(time.pendingTimers == 1)
            await time.advance(to: start)
            #expect(time.now == start + .seconds(5), "it never moves back")
        }
    }

    @Test("A timer that is due already fires without the clock moving")
    func overdue() async throws {
        try await with { time in
            let fired = Recorder<Duration>()
            await schedule(time, [.zero, .seconds(-1)], fired)
            await time.settle()
            #expect(fired.all == [.zero, .zero])
        }
    }

    @Test("What one timer causes is done before the next one fires, and may schedule or cancel timers on the way")
    func settlesBetweenTimers() async throws {
        try await with { time in
            let start = time.now
            let seen = Recorder<String>()
            await withCheckedContinuation { continuation in
                time.reactor.execute {
                    let doomed = time.schedule(at: start + .seconds(3)) { seen.record("cancelled") }
                    _ = time.schedule(at: start + .seconds(1)) {
                        _ = time.schedule(at: start + .seconds(2)) { seen.record("two") }
                        // Ten hops through the queue, each queued by the one before.
                        @Sendable func hop(_ left: Int) {
                            if left == 0 { seen.record("one, settled") } else { time.reactor.execute { hop(left - 1) } }
                        }
                        hop(10)
                    }
                    _ = time.schedule(at: start + .seconds(2.5)) { time.cancel(doomed) }
                    continuation.resume()
                }
            }
            await time.advance(by: .seconds(4))
            #expect(seen.all == ["one, settled", "two"])
        }
    }

    @Test("A task that prefers the reactor has done all it can before the clock moves on")
    func settlesTasks() async throws {
        try await with { time in
            let start = time.now
            let seen = Recorder<Duration>()
            let (stream, continuation) = AsyncStream.makeStream(of: Int.self)
            let task = Task(executorPreference: time.reactor) {
                for await _ in stream {
                    for _ in 0..<20 { await Task.yield() }
                    seen.record(time.now - start)
                }
            }
            await withCheckedContinuation { scheduled in
                time.reactor.execute {
                    for second in 1...3 {
                        _ = time.schedule(at: start + .seconds(second)) { continuation.yield(second) }
                    }
                    scheduled.resume()
                }
            }
            await time.advance(by: .seconds(10))
            #expect(seen.all == [.seconds(1), .seconds(2), .seconds(3)])
            continuation.finish()
            await task.value
        }
    }

    @Test("A test can wait until somebody schedules a timer")
    func waitForTimer() async throws {
        try await with { time in
            async let waiting: Void = time.waitForTimer()
            let fired = Recorder<Duration>()
            await schedule(time, [.seconds(7)], fired)
            await waiting
            let hasFired = await time.advanceToNextTimer()
            #expect(hasFired)
            #expect(fired.all == [.seconds(7)])
            let hasMore = await time.advanceToNextTimer()
            #expect(!hasMore)
        }
    }

    @Test("A wait that is cancelled returns")
    func cancelledWait() async throws {
        let signal = ChangeSignal()
        let task = Task { await signal.wait { false } }
        task.cancel()
        #expect(await !task.value)
        let early = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await signal.wait { false }
        }
        #expect(await !early.value)
    }

    @Test("No change is missed, however it races with the wait")
    func noLostWakeUp() async throws {
        let signal = ChangeSignal()
        let seen = Recorder<Int>()
        async let waiting = signal.wait { seen.all.count == 1000 }
        await withTaskGroup(of: Void.self) { group in
            for number in 0..<1000 {
                group.addTask {
                    seen.record(number)
                    signal.notify()
                }
            }
        }
        #expect(await waiting)
    }
}
