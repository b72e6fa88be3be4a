import RedisLocks

/// `redislock demo`: contention that explains itself.
package final class Demo: Sendable {
    package enum Nodes: Sendable {
        /// Somebody's: nothing is ever done to them.
        case given(NodeSet)
        /// So many servers of its own, 3 to 9, which it kills and starts again.
        case started(Int)
    }

    private let nodes: Nodes
    private let duration: Duration
    private let interrupts: AsyncStream<Int32>
    private let inbox: AsyncStream<Int32>.Continuation

    private var isLong: Bool { duration >= .seconds(30) }

    package init(_ nodes: Nodes, duration: Duration) {
        self.nodes = nodes
        self.duration = duration
        (interrupts, inbox) = AsyncStream.makeStream()
    }

    /// Ends it early, from any thread.
    package func interrupt(_ signal: Int32) {
        inbox.yield(signal)
    }

    /// Runs to the end. The sentence, if any, is for stderr.
    package func run() async -> OneShot.Answer {
        do {
            switch nodes {
            case .given(let nodes): return try await playOnGivenNodes(nodes)
            case .started(let count):
                return try await PrivateServers.with(count) { try await self.playOnPrivateServers($0) }
            }
        } catch let failure as Failure {
            return (failure.status, failure.sentence)
        } catch let error as LockError {
            let failure = Failure(error)
            return (failure.status, failure.sentence)
        } catch {
            return (.software, Failure(.software, "\(error)").sentence)
        }
    }

    private func playOnGivenNodes(_ nodes: NodeSet) async throws -> OneShot.Answer {
        let ttl = min(isLong ? .seconds(3) : .seconds(2), nodes.maximumTTL)
        let stage = DemoStage(nodes: nodes, ttl: ttl, isLong: isLong, folder: try Files.makeTemporaryFolder())
        defer { stage.ledger.remove() }
        // Says at once what would make everybody wait: a bad password, a node that is down, a quarantine.
        try await stage.withClient { locks in
            try await locks.connect()
            // The longer the lease may be, the longer a slow node may take to answer.
            try await locks.acquire(stage.key, ttl: nodes.maximumTTL, wait: .upTo(.zero)).release()
        }
        return await play(stage, scenes: nil)
    }

    private func playOnPrivateServers(_ servers: PrivateServers) async throws -> OneShot.Answer {
        var nodes = NodeSet(await servers.servers.map(\.url))
        // The quarantine is a little longer than the longest ttl: short enough to be seen.
        nodes.maximumTTL = isLong ? .seconds(3) : .seconds(2)
        let folder = servers.folder + "/ledger"
        try Files.makeFolder(folder)
        let stage = DemoStage(nodes: nodes, ttl: nodes.maximumTTL, isLong: isLong, folder: folder)
        stage.narrator.heading("\(nodes.urls.count) private Redis servers, which are independent masters")
        for server in await servers.servers {
            stage.narrator.text("  node \(server.number)  \(server.url)  process \(server.process)")
        }
        stage.narrator.text("They are new, and are told so (redislock init); else they would not vote yet.")
        try await stage.withClient { locks in
            let report = InitReport(nodes: try await locks.initializeNodes().map { .init($0) })
            guard report.exitStatus == .success else { throw Failure(.software, report.text) }
        }
        return await play(stage, scenes: NodeScenes(stage: stage, servers: servers))
    }

    private func play(_ stage: DemoStage, scenes: NodeScenes?) async -> OneShot.Answer {
        introduce(stage)
        if let signal = await perform(stage, scenes) {
            return (.signalled(signal), "interrupted by signal \(signal)")
        }
        return summarize(stage)
    }

    private func introduce(_ stage: DemoStage) {
        let narrator = stage.narrator
        narrator.heading("One lock, several contestants, about \(duration.forPeople)")
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
    private func perform(_ stage: DemoStage, _ scenes: NodeScenes?) async -> Int32? {
        await withTaskGroup(of: Int32?.self) { group in
            for name in ["ann", "ben", "cho"] {
                group.addTask { await self.tell(stage, name) { try await stage.contestant(name) } }
            }
            group.addTask { await self.tell(stage, "dan") { try await stage.contestantProcess("dan") } }
            group.addTask { await self.tell(stage, "director") { try await self.direct(stage, scenes) } }
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

    private typealias Scene = (title: String, play: () async throws -> Void)

    /// The accidents, one after the other, spread over the time there is; and the end.
    private func direct(_ stage: DemoStage, _ scenes: NodeScenes?) async throws {
        defer { stage.isOver.set() }
        let narrator = stage.narrator
        var acts: [[Scene]] = [
            [
                (
                    "A holder freezes: the lease ends by itself, and the late write is refused",
                    { try await stage.frozenProcess("eve") }
                )
            ],
            [
                (
                    "A lock is broken: its holder is told, and the next one has a greater token",
                    { try await stage.brokenHolder("fay") }
                )
            ],
        ]
        if let scenes {
            acts += [
                [
                    (
                        "A node dies under a held lease: the others are a majority",
                        { try await scenes.minorityDies("flo") }
                    )
                ],
                [
                    (
                        "Most nodes die: whoever holds the lock loses it in time, and nobody gets it",
                        { try await scenes.majorityDies("hal") }
                    ),
                    (
                        "They come back empty, and do not vote until what they forgot has expired",
                        { try await scenes.nodesComeBack() }
                    ),
                ],
            ]
        }
        for (index, act) in acts.enumerated() {
            let start = duration * (index + 1) / (acts.count + 2)
            try await Task.sleep(for: max(Duration.zero, start - narrator.elapsed), clock: .continuous)
            for scene in act {
                narrator.heading(scene.title)
                do {
                    try await scene.play()
                } catch  where !Task.isCancelled {
                    narrator.failed(error)
                }
            }
        }
        try await Task.sleep(for: max(Duration.zero, duration - narrator.elapsed), clock: .continuous)
    }

    private func summarize(_ stage: DemoStage) -> OneShot.Answer {
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
        if counts.nodesKilled > 0 {
            narrator.text("  nodes killed   \(counts.nodesKilled), and back without their data")
        }
        guard isIncreasing, lost == 0, !counts.isBroken else {
            return (ExitStatus(code: 1), "the lock did not do what it promises")
        }
        guard counts.failures == 0 else { return (ExitStatus(code: 1), "not everything could be shown") }
        return (.success, nil)
    }
}
