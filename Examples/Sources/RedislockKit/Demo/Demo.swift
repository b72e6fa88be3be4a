import RedisLocks

/// `redislock demo`: contention that explains itself.
package final class Demo: Sendable {
    private let node: String
    private let allowPlaintextPassword: Bool
    private let duration: Duration
    private let interrupts: AsyncStream<Int32>
    private let inbox: AsyncStream<Int32>.Continuation

    package init(node: String, allowPlaintextPassword: Bool, duration: Duration) {
        self.node = node
        self.allowPlaintextPassword = allowPlaintextPassword
        self.duration = duration
        (interrupts, inbox) = AsyncStream.makeStream()
    }

    /// Ends it early, from any thread.
    package func interrupt(_ signal: Int32) {
        inbox.yield(signal)
    }

    /// Runs to the end. The sentence, if any, is for stderr.
    package func run() async -> (status: ExitStatus, sentence: String?) {
        do {
            let stage = try makeStage()
            defer { stage.ledger.remove() }
            try await check(stage)
            introduce(stage)
            if let signal = await perform(stage) {
                return (.signalled(signal), "interrupted by signal \(signal)")
            }
            return summarize(stage)
        } catch let failure as Failure {
            return (failure.status, failure.sentence)
        } catch let error as LockError {
            let failure = Failure(error)
            return (failure.status, failure.sentence)
        } catch {
            return (.software, Failure(.software, "\(error)").sentence)
        }
    }

    private func makeStage() throws(Failure) -> DemoStage {
        let isLong = duration >= .seconds(30)
        return DemoStage(
            node: node,
            allowPlaintextPassword: allowPlaintextPassword,
            key: "redislock-demo:" + String(UInt64.random(in: .min ... .max), radix: 16),
            ttl: isLong ? .seconds(3) : .seconds(1),
            hold: isLong ? .milliseconds(400) ... .milliseconds(900) : .milliseconds(80) ... .milliseconds(200),
            ledger: try Ledger(),
            narrator: Narrator(colours: Console.isTerminal)
        )
    }

    private func check(_ stage: DemoStage) async throws(LockError) {
        let locks = try stage.makeClient()
        let result: Result<Void, LockError>
        do {
            try await locks.connect()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await locks.shutdown()
        try result.get()
    }

    private func introduce(_ stage: DemoStage) {
        let narrator = stage.narrator
        narrator.heading("One lock, six contestants, about \(duration.forPeople)")
        narrator.text(
            "Each reads a number from a file, thinks, and writes it back plus one, under the lock \(stage.key).")
        narrator.text(
            "ann, ben and cho are tasks with connections of their own; dan and eve are processes (redislock run).")
        narrator.text(
            "A lease lasts \(stage.ttl.forPeople) and is renewed while its holder lives. Every grant has a greater token."
        )
        narrator.heading("Contention: who comes too late waits")
    }

    /// Answers the signal that interrupted it, if one did.
    private func perform(_ stage: DemoStage) async -> Int32? {
        await withTaskGroup(of: Int32?.self) { group in
            for name in ["ann", "ben", "cho"] {
                group.addTask { await self.tell(stage, name) { try await stage.contestant(name) } }
            }
            group.addTask { await self.tell(stage, "dan") { try await stage.contestantProcess("dan") } }
            group.addTask { await self.tell(stage, "director") { try await self.direct(stage) } }
            group.addTask {
                for await signal in self.interrupts { return signal }
                return nil
            }
            // The play ends with five parts played; the sixth waits for a signal that need not come.
            for _ in 0..<5 {
                if let answer = await group.next(), let signal = answer {
                    group.cancelAll()
                    return signal
                }
            }
            group.cancelAll()
            return nil
        }
    }

    private func tell(_ stage: DemoStage, _ name: String, _ part: () async throws -> Void) async -> Int32? {
        do {
            try await part()
        } catch {
            if !Task.isCancelled { stage.narrator.say(name, "\(error)") }
        }
        return nil
    }

    /// The two accidents, and the end.
    private func direct(_ stage: DemoStage) async throws {
        defer { stage.isOver.set() }
        let narrator = stage.narrator
        try await Task.sleep(for: duration / 4, clock: .continuous)
        narrator.heading("A holder freezes: the lease ends by itself, and the late write is refused")
        try await stage.frozenProcess("eve")
        try await Task.sleep(for: max(Duration.zero, duration * 5 / 8 - narrator.elapsed), clock: .continuous)
        narrator.heading("A lock is broken: its holder is told, and the next one has a greater token")
        try await stage.brokenHolder("fay")
        try await Task.sleep(for: max(Duration.zero, duration - narrator.elapsed), clock: .continuous)
    }

    private func summarize(_ stage: DemoStage) -> (status: ExitStatus, sentence: String?) {
        let narrator = stage.narrator
        let (counts, tokens, number) = (narrator.counts, stage.ledger.tokens, stage.ledger.number)
        let isIncreasing = zip(tokens, tokens.dropFirst()).allSatisfy { $0 < $1 }
        let lost = counts.accepted - number
        narrator.heading("Summary after \(narrator.elapsed.forPeople)")
        narrator.text("  grants         \(tokens.count)")
        narrator.text("  tokens         \(isIncreasing ? "strictly increasing" : "NOT strictly increasing")")
        narrator.text("  the number     \(number) after \(counts.accepted) accepted updates")
        narrator.text("  lost updates   \(lost)")
        narrator.text("  late writes    \(counts.refused) refused by the fencing token")
        narrator.text("  leases lost    \(counts.lost), each noticed by its holder")
        guard isIncreasing, lost == 0 else {
            return (ExitStatus(code: 1), "the lock did not do what it promises")
        }
        return (.success, nil)
    }
}
