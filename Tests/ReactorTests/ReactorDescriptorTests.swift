import Reactor
import TestSupport
import Testing

@Suite(.timeLimit(.minutes(1)))
struct ReactorDescriptorTests {
    @Test("a descriptor is reported for what it is watched for, until it is not")
    func readiness() async throws {
        try await withReactor { reactor in
            let pipe = try TestPipe()
            let log = Record<Readiness>()
            let watch = OnReactor<Watch?>(nil)
            await reactor.perform {
                let new = reactor.watch(
                    pipe.readEnd,
                    handler: Handler { readiness in
                        pipe.read()
                        log.append(readiness)
                    }
                )
                watch.value = new
                reactor.setInterest(.readable, of: new)
                #expect(new.interest == .readable)
            }
            pipe.write()
            #expect(await log.wait(for: 1) == [.readable])
            pipe.write()
            #expect(await log.wait(for: 2) == [.readable, .readable])
            await reactor.perform { if let watch = watch.value { reactor.setInterest([], of: watch) } }
            pipe.write()
            #expect(try await reactor.wakeUps(during: .milliseconds(50)) <= 1)
            #expect(log.elements.count == 2)
            // The byte was not lost, only not asked for.
            await reactor.perform { if let watch = watch.value { reactor.setInterest(.readable, of: watch) } }
            #expect(await log.wait(for: 3).count == 3)
            await reactor.perform { if let watch = watch.value { reactor.unwatch(watch) } }
        }
    }

    @Test("a writable descriptor is reported as writable")
    func writable() async throws {
        try await withReactor { reactor in
            let pipe = try TestPipe()
            let log = Record<Readiness>()
            await reactor.perform {
                let watch = OnReactor<Watch?>(nil)
                let handler = Handler { readiness in
                    if let watch = watch.value { reactor.unwatch(watch) }
                    log.append(readiness)
                }
                let new = reactor.watch(pipe.writeEnd, handler: handler)
                watch.value = new
                reactor.setInterest([.readable, .writable], of: new)
            }
            #expect(await log.wait(for: 1) == [.writable])
        }
    }

    @Test("the other end's closing is reported as readiness for what was asked")
    func hangUp() async throws {
        try await withReactor { reactor in
            let pipe = try TestPipe()
            let log = Record<Readiness>()
            await reactor.perform {
                let watch = OnReactor<Watch?>(nil)
                let new = reactor.watch(
                    pipe.readEnd,
                    handler: Handler { readiness in
                        if let watch = watch.value { reactor.unwatch(watch) }
                        log.append(readiness)
                    }
                )
                watch.value = new
                reactor.setInterest(.readable, of: new)
            }
            pipe.closeWriteEnd()
            #expect(await log.wait(for: 1) == [.readable])
        }
    }

    @Test("a dead descriptor that nobody reads is reported once, and does not spin")
    func hangUpWithoutInterest() async throws {
        try await withReactor { reactor in
            let pipe = try TestPipe()
            let log = Record<Readiness>()
            await reactor.perform { _ = reactor.watch(pipe.readEnd, handler: Handler { log.append($0) }) }
            pipe.closeWriteEnd()
            #expect(await log.wait(for: 1) == [[.readable, .writable]])
            #expect(try await reactor.wakeUps(during: .milliseconds(100)) <= 1)
            #expect(log.elements.count == 1)
        }
    }

    @Test("a descriptor closed under the reactor is reported as invalid, dropped, and does not spin")
    func closedUnderneath() async throws {
        try await withReactor { reactor in
            let log = Record<Readiness>()
            let survivor = try TestPipe()
            let survivorLog = Record<Readiness>()
            let watches = OnReactor<[Watch]>([])
            for _ in 0..<10 {
                let pipe = try TestPipe()
                await reactor.perform {
                    let watch = reactor.watch(pipe.readEnd, handler: Handler { log.append($0) })
                    reactor.setInterest(.readable, of: watch)
                    watches.value.append(watch)
                    pipe.closeReadEnd()
                }
            }
            await reactor.perform {
                let handler = Handler { readiness in
                    survivor.read()
                    survivorLog.append(readiness)
                }
                reactor.setInterest(.readable, of: reactor.watch(survivor.readEnd, handler: handler))
            }
            #expect(await log.wait(for: 10) == Array(repeating: .invalid, count: 10))
            #expect(try await reactor.wakeUps(during: .milliseconds(100)) <= 1)
            #expect(log.elements.count == 10)
            survivor.write()
            #expect(await survivorLog.wait(for: 1) == [.readable])
            // What was dropped may still be asked about, in vain.
            await reactor.perform {
                for watch in watches.value {
                    reactor.setInterest(.writable, of: watch)
                    reactor.unwatch(watch)
                    reactor.unwatch(watch)
                }
            }
            #expect(log.elements.count == 10)
        }
    }

    @Test("a handler may remove another watch that is ready in the same turn")
    func removeAnother() async throws {
        try await withReactor { reactor in
            let pipes = try [TestPipe(), TestPipe(), TestPipe()]
            for pipe in pipes { pipe.write() }
            let log = Record<Int>()
            await reactor.perform {
                let watches = OnReactor<[Watch]>([])
                for (number, pipe) in pipes.enumerated() {
                    let handler = Handler { _ in
                        for watch in watches.value { reactor.unwatch(watch) }
                        log.append(number)
                        reactor.atEndOfTurn { log.append(-1) }
                    }
                    watches.value.append(reactor.watch(pipe.readEnd, handler: handler))
                }
                for watch in watches.value { reactor.setInterest(.readable, of: watch) }
            }
            // The end of the turn comes after every delivery of it.
            #expect(await log.wait(for: 2) == [0, -1])
        }
    }

    @Test("a handler may silence another watch that is ready in the same turn, which stays watched")
    func silenceAnother() async throws {
        try await withReactor { reactor in
            let pipes = try [TestPipe(), TestPipe()]
            for pipe in pipes { pipe.write() }
            let log = Record<Int>()
            let watches = OnReactor<[Watch]>([])
            await reactor.perform {
                for (number, pipe) in pipes.enumerated() {
                    let handler = Handler { _ in
                        pipe.read()
                        for watch in watches.value { reactor.setInterest([], of: watch) }
                        log.append(number)
                        reactor.atEndOfTurn { log.append(-1) }
                    }
                    watches.value.append(reactor.watch(pipe.readEnd, handler: handler))
                }
                for watch in watches.value { reactor.setInterest(.readable, of: watch) }
            }
            #expect(await log.wait(for: 2) == [0, -1])
            await reactor.perform { for watch in watches.value { reactor.setInterest(.readable, of: watch) } }
            #expect(await log.wait(for: 4) == [0, -1, 1, -1])
            // The handlers hold the reactor, which holds what is watched.
            await reactor.perform { for watch in watches.value { reactor.unwatch(watch) } }
        }
    }

    @Test("a handler may watch another descriptor")
    func watchFromHandler() async throws {
        try await withReactor { reactor in
            let pipes = try [TestPipe(), TestPipe()]
            let log = Record<Int>()
            let watches = OnReactor<[Watch]>([])
            await reactor.perform {
                @Sendable func watch(_ number: Int, _ then: @escaping () -> Void) {
                    let handler = Handler { _ in
                        pipes[number].read()
                        log.append(number)
                        then()
                    }
                    let watch = reactor.watch(pipes[number].readEnd, handler: handler)
                    watches.value.append(watch)
                    reactor.setInterest(.readable, of: watch)
                }
                watch(0) { watch(1) {} }
            }
            pipes[1].write()
            pipes[0].write()
            #expect(await log.wait(for: 2) == [0, 1])
            await reactor.perform { for watch in watches.value { reactor.unwatch(watch) } }
        }
    }

    @Test("a handler is released when its watch is removed, although it keeps the watch, and may unwatch as it goes")
    func handlerIsReleased() async throws {
        try await withReactor { reactor in
            let pipes = try [TestPipe(), TestPipe()]
            let gone = Record<String>()
            await reactor.perform {
                let other = OnReactor(reactor.watch(pipes[0].readEnd, handler: Handler { _ in }))
                let held = OnReactor<Watch?>(nil)
                let probe = Probe {
                    reactor.unwatch(other.value)
                    gone.append("handler")
                }
                let handler = Handler { _ in withExtendedLifetime((probe, held)) {} }
                let watch = reactor.watch(pipes[1].readEnd, handler: handler)
                held.value = watch
                reactor.unwatch(watch)
            }
            #expect(await gone.wait(for: 1) == ["handler"])
        }
    }
}
