import Reactor
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ReactorTimerTests {
    @Test("timers fire in order of deadline, equal ones in order of scheduling, none early")
    func order() async throws {
        try await withReactor { reactor in
            let log = Record<(number: Int, early: Bool)>()
            await reactor.perform {
                let start = reactor.now
                for (number, delay) in [30, 10, 20, 10, -5, 0].enumerated() {
                    let deadline = start + .milliseconds(delay)
                    _ = reactor.schedule(at: deadline) { log.append((number, reactor.now < deadline)) }
                }
            }
            let fired = await log.wait(for: 6)
            #expect(fired.map(\.number) == [4, 5, 1, 3, 2, 0])
            #expect(!fired.contains { $0.early })
        }
    }

    @Test("a timer's action may cancel another that is due in the same turn")
    func cancelWhileFiring() async throws {
        try await withReactor { reactor in
            let log = Record<String>()
            await reactor.perform {
                let due = reactor.now
                let ids = OnReactor<[TimerID]>([])
                for name in ["a", "b"] {
                    ids.value.append(
                        reactor.schedule(at: due) {
                            log.append(name)
                            for id in ids.value { reactor.cancel(id) }
                        }
                    )
                }
                _ = reactor.schedule(at: due) { log.append("end") }
            }
            #expect(await log.wait(for: 2) == ["a", "end"])
        }
    }

    @Test("a timer may schedule another, a late one too, without starving jobs")
    func scheduleFromTimer() async throws {
        try await withReactor { reactor in
            let log = Record<Int>()
            let isDone = OnReactor(false)
            await reactor.perform {
                @Sendable func again(_ number: Int) {
                    if isDone.value { return log.append(number) }
                    _ = reactor.schedule(at: reactor.now - .seconds(1)) { again(number + 1) }
                }
                again(0)
            }
            await reactor.perform { isDone.value = true }
            #expect(await log.wait(for: 1).count == 1)
        }
    }

    @Test("jobs that always make another do not starve timers")
    func jobFlood() async throws {
        try await withReactor { reactor in
            let isDone = OnReactor(false)
            let end = Record<Void>()
            await reactor.perform {
                @Sendable func flood() {
                    if isDone.value { return end.append(()) }
                    reactor.execute(flood)
                }
                flood()
                _ = reactor.schedule(at: reactor.now) { isDone.value = true }
            }
            #expect(await end.wait(for: 1).count == 1)
        }
    }

    @Test("ten thousand timers scheduled and cancelled wake nobody and leave nothing")
    func manyCancelled() async throws {
        try await withReactor { reactor in
            let log = Record<String>()
            let probes = Record<Void>()
            await reactor.perform {
                for number in 0..<10_000 {
                    let probe = Probe { probes.append(()) }
                    let timer = reactor.schedule(at: reactor.now + .microseconds(number)) {
                        withExtendedLifetime(probe) { log.append("cancelled timer fired") }
                    }
                    reactor.cancel(timer)
                }
            }
            #expect(await probes.wait(for: 10_000).count == 10_000)
            await reactor.perform { _ = reactor.schedule(at: reactor.now + .milliseconds(15)) { log.append("end") } }
            #expect(await log.wait(for: 1) == ["end"])
        }
    }

    @Test("what a cancelled timer captured may cancel timers while it goes away")
    func reentrantCancel() async throws {
        try await withReactor { reactor in
            let gone = Record<Void>()
            await reactor.perform {
                let other = reactor.schedule(at: reactor.now + .seconds(3600)) { gone.append(()) }
                var probe: Probe? = Probe {
                    reactor.cancel(other)
                    gone.append(())
                }
                let timer = reactor.schedule(at: reactor.now + .seconds(3600)) { [probe] in
                    withExtendedLifetime(probe) {}
                }
                probe = nil
                reactor.cancel(timer)
            }
            await reactor.stopAndWait()
            #expect(gone.elements.count == 1)
        }
    }

    @Test("deadlines beyond what poll can wait for are kept")
    func farFuture() async throws {
        try await withReactor { reactor in
            let log = Record<String>()
            await reactor.perform {
                _ = reactor.schedule(at: reactor.now + .seconds(400 * 86_400)) { log.append("far") }
                _ = reactor.schedule(at: reactor.now + .seconds(Int64.max / 4)) { log.append("never") }
            }
            let wakeUps = try await reactor.wakeUps(during: .milliseconds(100))
            #expect(wakeUps <= 1)
            #expect(log.elements.isEmpty)
        }
    }
}
