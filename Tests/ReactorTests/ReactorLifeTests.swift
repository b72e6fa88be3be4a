import Reactor
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ReactorLifeTests {
    /// In a process of its own, because other tests open and close descriptors.
    @Test("a hundred reactors leave neither descriptors nor objects behind")
    func hundredReactors() async {
        await #expect(processExitsWith: .success) {
            let before = openPipeEnds()
            for number in 0..<100 {
                weak var survivor: Reactor?
                do {
                    let reactor = try Reactor(name: "reactor \(number)")
                    survivor = reactor
                    // Some never work; some have a timer, a watch and a job left when they stop.
                    if number % 4 != 0 {
                        await reactor.perform {
                            _ = reactor.schedule(at: reactor.now + .seconds(3600)) { reactor.execute {} }
                            _ = reactor.watch(0, handler: Handler { _ in })
                            reactor.execute {}
                        }
                    }
                    await reactor.stopAndWait()
                }
                #expect(survivor == nil)
            }
            #expect(openPipeEnds() == before)
            // The control: a reactor's pipe is seen.
            let reactor = try Reactor()
            #expect(openPipeEnds() == before + 2)
            await reactor.stopAndWait()
        }
    }

    @Test("a reactor that was never used goes away without being stopped")
    func unused() throws {
        weak var survivor: Reactor?
        do {
            let reactor = try Reactor()
            survivor = reactor
            #expect(survivor != nil)
        }
        #expect(survivor == nil)
    }

    @Test("stopping fires the timers that wait, early and in order")
    func stopFiresTimers() async throws {
        try await withReactor { reactor in
            let log = Record<Int>()
            await reactor.perform {
                for number in [3, 1, 2] {
                    _ = reactor.schedule(at: reactor.now + .seconds(3600 * number)) { log.append(number) }
                }
            }
            await reactor.stopAndWait()
            #expect(log.elements == [1, 2, 3])
        }
    }

    @Test("a timer that always schedules another delays the stop only until a job ends it")
    func stopWithEndlessTimer() async throws {
        try await withReactor { reactor in
            let isDone = OnReactor(false)
            await reactor.perform {
                @Sendable func again() {
                    if isDone.value { return }
                    _ = reactor.schedule(at: reactor.now + .seconds(3600), again)
                }
                again()
            }
            reactor.stop()
            await reactor.perform { isDone.value = true }
            await reactor.stopAndWait()
            #expect(isDone.value)
        }
    }

    @Test("an action fired by stopping may cancel another timer")
    func cancelWhileStopping() async throws {
        try await withReactor { reactor in
            let log = Record<String>()
            await reactor.perform {
                let ids = OnReactor<[TimerID]>([])
                for name in ["a", "b"] {
                    ids.value.append(
                        reactor.schedule(at: reactor.now + .seconds(3600)) {
                            log.append(name)
                            for id in ids.value { reactor.cancel(id) }
                        }
                    )
                }
            }
            await reactor.stopAndWait()
            #expect(log.elements == ["a"])
        }
    }

    @Test("work enqueued after the stop still runs, and stopping again is harmless")
    func workAfterStop() async throws {
        try await withReactor { reactor in
            for number in 0..<50 {
                #expect(await reactor.perform { number } == number)
                await reactor.stopAndWait()
            }
            let log = Record<String>()
            await reactor.perform { _ = reactor.schedule(at: reactor.now + .seconds(3600)) { log.append("fired") } }
            #expect(await log.wait(for: 1) == ["fired"])
        }
    }

    @Test("work that many tasks enqueue while the reactor stops and stops again is neither lost nor run twice")
    func stopRace() async throws {
        try await withReactor { reactor in
            let counter = OnReactor(0)
            await withTaskGroup { group in
                for _ in 0..<4 {
                    group.addTask { for _ in 0..<500 { await reactor.perform { counter.value += 1 } } }
                }
                group.addTask { for _ in 0..<200 { await reactor.stopAndWait() } }
            }
            #expect(await reactor.perform { counter.value } == 2000)
        }
    }

    @Test("several tasks may wait for the same stop")
    func manyWaiters() async throws {
        try await withReactor { reactor in
            await reactor.perform {}
            let count = await withTaskGroup(of: Int.self) { group in
                for _ in 0..<20 {
                    group.addTask {
                        await reactor.stopAndWait()
                        return 1
                    }
                }
                return await group.reduce(0, +)
            }
            #expect(count == 20)
        }
    }

    @Test("an idle reactor does not wake up, with a watched descriptor and a far timer neither")
    func idle() async throws {
        try await withReactor { reactor in
            let pipe = try TestPipe()
            await reactor.perform {
                let watch = reactor.watch(pipe.readEnd, handler: Handler { _ in })
                reactor.setInterest(.readable, of: watch)
                _ = reactor.schedule(at: reactor.now + .seconds(3600)) {}
            }
            let wakeUps = try await reactor.wakeUps(during: .seconds(1))
            #expect(wakeUps == 0)
        }
    }

    @Test("writing to a closed pipe on the reactor is an error code, not a signal")
    func brokenPipe() async {
        await #expect(processExitsWith: .success) {
            signal(SIGPIPE, SIG_DFL)
            let reactor = try Reactor()
            let pipe = try TestPipe()
            pipe.closeReadEnd()
            let code = await reactor.perform {
                var byte: UInt8 = 0
                return write(pipe.writeEnd, &byte, 1) < 0 ? errno : 0
            }
            #expect(code == EPIPE)
            await reactor.stopAndWait()
        }
        // The control: the same write elsewhere is the end of the process.
        await #expect(processExitsWith: .signal(SIGPIPE)) {
            signal(SIGPIPE, SIG_DFL)
            let pipe = try TestPipe()
            pipe.closeReadEnd()
            pipe.write()
        }
    }

    @Test("signals that interrupt poll are tolerated, and fire no timer early")
    func interrupted() async throws {
        try await withReactor { reactor in
            var action = sigaction()
            action.__sigaction_handler.sa_handler = { _ in }
            try #require(sigaction(SIGUSR1, &action, nil) == 0)
            let log = Record<String>()
            let thread = await reactor.perform {
                _ = reactor.schedule(at: reactor.now + .seconds(3600)) { log.append("early") }
                // The thread has its mask from the one that started it, and Dispatch's block everything.
                var signals = sigset_t()
                sigemptyset(&signals)
                sigaddset(&signals, SIGUSR1)
                pthread_sigmask(SIG_UNBLOCK, &signals, nil)
                return ThreadHandle(pthread_self())
            }
            for _ in 0..<20 {
                let before = reactor.wakeUpCount
                // A signal that comes just before `poll` interrupts nothing: another is sent.
                try await waitUntil("poll was interrupted") {
                    try #require(pthread_kill(thread.value, SIGUSR1) == 0)
                    return reactor.wakeUpCount > before
                }
            }
            #expect(log.elements.isEmpty)
            #expect(await reactor.perform { 42 } == 42)
        }
    }

    @Test("The last task that prefers a reactor may throw it away")
    func thrownAwayByItsLastTask() async throws {
        // The window is narrow: between a job's becoming visible and the end of the call that enqueued it.
        for round in 0..<500 {
            let result = try await {
                let reactor = try Reactor()
                defer { reactor.stop() }
                return await withTaskExecutorPreference(reactor) {
                    await Task.yield(); return round
                }
            }()
            #expect(result == round)
        }
    }
}

/// Guard: an opaque name, never looked into.
private struct ThreadHandle: @unchecked Sendable {
    let value: pthread_t

    init(_ value: pthread_t) {
        self.value = value
    }
}

/// How many ends of pipes this process has open. Descriptors of other kinds are Dispatch's, which makes them when it likes.
private func openPipeEnds() -> Int {
    (0..<4096).count { descriptor in
        var status = stat()
        return fstat(CInt(descriptor), &status) == 0 && status.st_mode & S_IFMT == S_IFIFO
    }
}
