import RedisLocks

/// What happens to a lock when its nodes die and come back. Only with private servers: nobody else's are ever killed.
struct NodeScenes: Sendable {
    let stage: DemoStage
    let servers: PrivateServers

    private var narrator: Narrator { stage.narrator }
    private var count: Int { stage.nodes.urls.count }

    // MARK: A minority

    /// A node is killed while a lease is held.
    func minorityDies(_ name: String) async throws {
        let grants = try await stage.withClient { locks in
            let (lease, number) = try await hold(name, locks)
            let events = lease.events
            try await kill(count)
            try await watchRenewals(of: lease, events, name)
            try lease.checkValid()
            if stage.ledger.write(number + 1, token: lease.fencingToken) { narrator.wrote(name, number + 1) }
            try? await lease.release()
            return stage.ledger.tokens.count
        }
        guard let token = try await stage.nextGrant(after: grants, within: .seconds(10)) else {
            return narrator.broken("nobody was granted the lock after one of \(count) nodes died")
        }
        narrator.say("director", "the lock lives on: the next one has it, token \(token)")
    }

    private func watchRenewals(of lease: Lease, _ events: AsyncStream<LeaseEvent>, _ name: String) async throws {
        var renewals = 0
        for await event in events {
            switch event {
            case .renewed:
                renewals += 1
                let nodes = await nodesAlive()
                narrator.say(
                    name, "renews its lease at \(nodes.count) of \(count) nodes, \(lease.remaining.forPeople) left")
                if renewals == 2 { return }
            case .atRisk(let remaining): narrator.say(name, "is warned: \(remaining.forPeople) left")
            case .lost(let reason): narrator.lostLease(name, "stops: \(reason)")
            }
        }
        try Task.checkCancellation()
    }

    // MARK: A majority

    /// So many nodes are killed that none of the lock's users can go on; they lose it in time.
    func majorityDies(_ name: String) async throws {
        try await stage.withClient { locks in
            let (lease, _) = try await hold(name, locks)
            let start = ContinuousClock.now
            async let loss = lease.lost()
            while let last = await nodesAlive().last, await nodesAlive().count * 2 > count {
                try await kill(last.number)
            }
            if let reason = await loss {
                let delay = ContinuousClock.now - start
                narrator.lostLease(name, "stops after \(delay.forPeople), before anybody can be granted it: \(reason)")
            }
            try? await lease.release()
        }
        try await stage.withClient { locks in
            narrator.say("gus", "asks for another lock, which nobody else wants, and waits for 1 s")
            try await refused("gus", locks, wait: .upTo(.seconds(1)))
        }
    }

    // MARK: They come back

    /// What was killed starts again, empty, and must not vote until what it forgot has expired.
    func nodesComeBack() async throws {
        let start = ContinuousClock.now
        let grants = stage.ledger.tokens.count
        for number in 1...count where await servers.servers[number - 1].process == 0 {
            try await servers.restart(number)
            narrator.say("operator", "starts node \(number) again: it is empty, and has forgotten every lock")
        }
        try await stage.withClient { locks in
            narrator.say("gus", "asks for that other lock again")
            try await refused("gus", locks, wait: .upTo(.zero))
            tell(StatusReport(try await locks.status(of: stage.key)))
        }
        // The quarantine, and some time for the back-off of those who wait.
        let limit = stage.ttl * 2 + .seconds(15)
        guard let token = try await stage.nextGrant(after: grants, within: limit) else {
            return narrator.broken("nobody was granted the lock in \(limit.forPeople), though all nodes run")
        }
        let delay = (ContinuousClock.now - start).forPeople
        narrator.say("director", "\(delay) later all nodes vote again, by themselves; first token \(token)")
    }

    // MARK: Parts

    private func hold(_ name: String, _ locks: RedisLocks) async throws -> (lease: Lease, number: Int) {
        narrator.waits(name)
        defer { narrator.waitsNoMore(name) }
        let start = ContinuousClock.now
        let lease = try await locks.acquire(stage.key)
        let number = stage.ledger.open(token: lease.fencingToken)
        narrator.holds(name, token: lease.fencingToken, waited: ContinuousClock.now - start)
        return (lease, number)
    }

    private func kill(_ number: Int) async throws {
        try await servers.kill(number)
        narrator.killed()
        narrator.say("operator", "KILLS node \(number) (SIGKILL); \(await nodesAlive().count) of \(count) run")
    }

    private func nodesAlive() async -> [PrivateServers.Server] {
        await servers.servers.filter { $0.process != 0 }
    }

    /// Asks for a lock of its own, so that nobody's grant but the nodes' state decides, and tells what each of them said.
    private func refused(_ name: String, _ locks: RedisLocks, wait: Wait) async throws {
        do {
            let lease = try await locks.acquire(stage.otherKey, wait: wait)
            narrator.broken("\(name) was granted it, token \(lease.fencingToken), without a majority that may vote")
            try? await lease.release()
        } catch  where error.code == .cancelled {
            throw CancellationError()
        } catch {
            narrator.say(name, "is refused (\(error.code)):")
            for (index, report) in error.nodes.enumerated() {
                narrator.detail("node \(index + 1)  \(report.description.dropFirst(report.node.count + 2))")
            }
        }
    }

    private func tell(_ report: StatusReport) {
        narrator.say("operator", "looks at it (redislock status):")
        for line in report.text.split(separator: "\n", omittingEmptySubsequences: true) {
            narrator.detail(String(line))
        }
    }
}
