import Reactor
import Testing

/// Pinned to a reactor, as a connection is.
private actor Pinned {
    let reactor: Reactor
    private(set) var count = 0

    nonisolated var unownedExecutor: UnownedSerialExecutor { reactor.asUnownedSerialExecutor() }

    init(_ reactor: Reactor) {
        self.reactor = reactor
    }

    /// Returns whether it ran on the reactor.
    func increment() -> Bool {
        count += 1
        return reactor.isOnReactor
    }

    func incrementAfterSuspension() async -> Bool {
        await Task.yield()
        return increment()
    }
}

@Suite(.timeLimit(.minutes(1)))
struct ReactorJobTests {
    @Test("one thread's jobs run in the order in which it gave them")
    func order() async throws {
        try await withReactor { reactor in
            let log = Record<Int>()
            for number in 0..<5000 { reactor.execute { log.append(number) } }
            #expect(await log.wait(for: 5000) == Array(0..<5000))
        }
    }

    @Test("many threads' jobs all run, each thread's in its order")
    func manyThreads() async throws {
        try await withReactor { reactor in
            let log = Record<(thread: Int, number: Int)>()
            await withTaskGroup { group in
                for thread in 0..<8 {
                    group.addTask { for number in 0..<500 { reactor.execute { log.append((thread, number)) } } }
                }
            }
            let elements = await log.wait(for: 4000)
            for thread in 0..<8 {
                #expect(elements.filter { $0.thread == thread }.map(\.number) == Array(0..<500))
            }
        }
    }

    @Test("jobs given on the reactor run after the one that gave them, in order")
    func nested() async throws {
        try await withReactor { reactor in
            let log = Record<String>()
            reactor.execute {
                reactor.execute { log.append("b") }
                reactor.execute { log.append("c") }
                log.append("a")
            }
            #expect(await log.wait(for: 3) == ["a", "b", "c"])
        }
    }

    @Test("an actor pinned to the reactor runs there, before and after a suspension")
    func pinnedActor() async throws {
        try await withReactor { reactor in
            let pinned = Pinned(reactor)
            #expect(await pinned.increment())
            #expect(await pinned.incrementAfterSuspension())
            let results = await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<1000 { group.addTask { await pinned.incrementAfterSuspension() } }
                return await group.reduce(into: []) { $0.append($1) }
            }
            #expect(results.count == 1000 && !results.contains(false))
            #expect(await pinned.count == 1002)
            await pinned.assertIsolatedInside()
        }
    }

    @Test("plain work on the reactor may assume the isolation of an actor pinned to it")
    func assumeIsolated() async throws {
        try await withReactor { reactor in
            let pinned = Pinned(reactor)
            let wasOnReactor = await reactor.perform {
                reactor.checkIsolated()
                return pinned.assumeIsolated { $0.increment() }
            }
            #expect(wasOnReactor)
            #expect(reactor.isIsolatingCurrentContext() == false)
            #expect(await reactor.perform { reactor.isIsolatingCurrentContext() } == true)
        }
    }

    @Test("off the reactor, assuming its isolation traps")
    func assumeIsolatedElsewhere() async {
        await #expect(processExitsWith: .failure) {
            let pinned = Pinned(try Reactor())
            ({ pinned.assumeIsolated { _ in } })()
        }
        await #expect(processExitsWith: .failure) {
            _ = try Reactor().schedule(at: .now) {}
        }
    }

    @Test("a reactor is not another reactor")
    func twoReactors() async throws {
        try await withReactor { one in
            try await withReactor { other in
                #expect(await one.perform { one.isOnReactor && !other.isOnReactor })
                #expect(await other.perform { !one.isOnReactor && other.isOnReactor })
                let pinned = Pinned(other)
                #expect(await withTaskExecutorPreference(one) { await pinned.increment() })
            }
        }
    }

    @Test("a task that prefers the reactor runs its own code there, child tasks too")
    func taskExecutorPreference() async throws {
        @concurrent @Sendable func isHere(_ reactor: Reactor) async -> Bool {
            await Task.yield()
            return reactor.isOnReactor
        }
        try await withReactor { reactor in
            let results = await withTaskExecutorPreference(reactor) {
                async let child = isHere(reactor)
                return await [isHere(reactor), child]
            }
            #expect(results == [true, true])
            #expect(await Task(executorPreference: reactor) { await isHere(reactor) }.value)
            #expect(await !isHere(reactor))
        }
    }

    @Test("the end of a turn comes once, after the jobs of the turn")
    func endOfTurn() async throws {
        try await withReactor { reactor in
            let log = Record<String>()
            await reactor.perform {
                let isAsked = OnReactor(false)
                for name in ["a", "b", "c"] {
                    reactor.execute {
                        log.append(name)
                        if !isAsked.value { reactor.atEndOfTurn { log.append("write") } }
                        isAsked.value = true
                    }
                }
            }
            #expect(await log.wait(for: 4) == ["a", "b", "c", "write"])
        }
    }

    @Test("an action at the end of a turn may ask for another, and the reactor does not sleep over it")
    func endOfTurnAgain() async throws {
        try await withReactor { reactor in
            let log = Record<Int>()
            await reactor.perform {
                reactor.atEndOfTurn {
                    log.append(1)
                    reactor.atEndOfTurn {
                        log.append(2)
                        reactor.execute { log.append(3) }
                    }
                }
            }
            #expect(await log.wait(for: 3) == [1, 2, 3])
        }
    }

    @Test("what a job captured is released when it is done, although the reactor then sleeps")
    func capturesAreReleased() async throws {
        try await withReactor { reactor in
            let gone = Record<Void>()
            var probe: Probe? = Probe { gone.append(()) }
            await reactor.perform { [probe] in withExtendedLifetime(probe) {} }
            probe = nil
            #expect(await gone.wait(for: 1).count == 1)
        }
    }
}

extension Pinned {
    func assertIsolatedInside() {
        preconditionIsolated()
        reactor.checkIsolated()
    }
}
