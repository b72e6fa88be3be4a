import RedisLocks

/// Faults that begin at an instant of the plan.
extension Simulation {
    private var ttl: Int64 { plan.catalogue.maximumTTL }

    func begin(_ fault: SimulationFault) {
        guard !isHealed else { return }
        faultCount += 1
        trace?.add(now, "fault: \(fault)")
        switch fault {
        case .breakage, .halfOpen, .partition: beginNetworkFault(fault)
        case .clientPause, .suspension, .clientCrash, .frozenClock: beginClientFault(fault)
        default: beginServerFault(fault)
        }
    }

    private func someTime(_ longest: Int64) -> Int64 { chaos.between(1_000_000, max(2_000_000, longest)) }

    // MARK: Network

    private func beginNetworkFault(_ fault: SimulationFault) {
        let client = chaos.pick(clients)
        guard !client.links.isEmpty else { return }
        // One link, or all of a client's: it is cut off, and may not know it.
        let links = chaos.chance(600) ? [chaos.pick(client.links)] : client.links
        let duration = someTime(ttl * 2)
        for link in links {
            switch fault {
            case .halfOpen:
                link.goDeaf(forHowLong: duration)
                let connection = UInt32(link.connection)
                push(.breakage, at: now + duration, client.index, 0, link.server.index, connection)
            case .partition: link.breakConnection(forHowLong: duration)
            default: link.breakConnection(forHowLong: someTime(10 * plan.latency))
            }
        }
    }

    // MARK: Clients

    private func beginClientFault(_ fault: SimulationFault) {
        let client = chaos.pick(clients)
        guard !client.isDead else { return }
        switch fault {
        case .clientPause: client.pause(forHowLong: someTime(ttl * 2), clockStops: false)
        case .suspension:
            client.pause(forHowLong: someTime(ttl * 2), clockStops: Mutant.isOn(.suspendingClock))
        case .frozenClock: client.pause(forHowLong: someTime(ttl * 2), clockStops: true)
        default:
            client.crash()
            push(.clientStarts, at: now + someTime(ttl / 2), client.index)
        }
    }

    // MARK: Servers

    private func beginServerFault(_ fault: SimulationFault) {
        let server = chaos.pick(servers)
        switch fault {
        case .serverPause: pause(server, someTime(ttl * 3 / 2))
        case .crash: crash(server, .byPersistence)
        case .massacre:
            for server in servers where chaos.chance(700) { crash(server, .byPersistence) }
        case .rollback:
            if chaos.chance(300) { return server.takeBackup() }
            // Who calls a server durable promises that it never forgets.
            if !server.plan.isDurable { crash(server, chaos.chance(500) ? .toBackup : .everything) }
        case .flush: if !server.isDown { server.redis.flush() }
        case .outOfMemory: server.outOfMemoryUntil = now + someTime(ttl)
        case .scriptFlush: server.scripts = 0
        case .busy: server.busyUntil = now + someTime(ttl)
        case .stranger: placeStranger()
        case .eviction: evict(server, name: chaos.below(plan.nameCount))
        case .clockStep: server.clock.step(by: step(), at: now)
        case .clockRate: server.clock.setFastness(chaos.between(-300_000, 300_000), at: now)
        default: break
        }
    }

    private func step() -> Int64 {
        let reach = chaos.chance(600) ? ttl * 2 : 60_000_000_000
        return chaos.between(-reach, reach)
    }

    private func pause(_ server: SimulatedServer, _ duration: Int64) {
        guard !server.isDown, !server.isPaused(now) else { return }
        server.pausedUntil = now + duration
        push(.serverResumes, at: now + duration, server.index)
    }

    func resume(_ server: SimulatedServer) {
        guard !server.isDown, server.pausedUntil <= now else { return }
        runBacklog(of: server)
    }

    private func crash(_ server: SimulatedServer, _ loss: SimulatedServer.Loss) {
        guard !server.isDown else { return }
        server.crash(loss, at: now)
        for client in clients {
            for link in client.links where link.server === server { link.serverDied() }
        }
        push(.serverStarts, at: now + downTime(server), server.index)
    }

    /// Counters that were lost come back with a clock beyond all that was granted: the grain of the anchor, and the
    /// difference of the nodes' clocks, later. (Nodes' clocks do not run apart there.) The rest is a margin for tokens
    /// that were given out ahead of the clock.
    private func downTime(_ server: SimulatedServer) -> Int64 {
        guard plan.world == .lostCounters else { return someTime(chaos.chance(500) ? ttl / 4 : ttl * 2) }
        let grain = plan.terms[0].granularityMicroseconds * 1000
        let skew = servers.count > 1 ? SimulationPlan.greatestSkewOfLostCounters : 0
        return grain + skew + 10_000_000 + someTime(ttl)
    }

    func start(_ server: SimulatedServer) {
        guard server.isDown else { return }
        trace?.add(now, "\(server.label) starts")
        server.start(at: now)
        if plan.faults.has(.busy), !isHealed, chaos.chance(500) { server.loadingUntil = now + someTime(ttl / 4) }
    }

    /// `SET name value NX PX ms` at a majority or a single server.
    private func placeStranger() {
        let name = SimulationCatalogue.names[chaos.below(plan.nameCount)]
        let duration = someTime(ttl) / 1_000_000
        for server in servers where !server.isDown && chaos.chance(700) {
            let wall = server.wall(now)
            guard server.redis.entry(name.bytes, at: wall) == nil else { continue }
            server.redis.set(
                name.bytes,
                to: InMemoryRedis.Entry(.string(Array("stranger".utf8)), expiry: wall.milliseconds + duration))
        }
    }

    func evict(_ server: SimulatedServer, name: Int) {
        guard !server.isDown else { return }
        server.redis.delete(SimulationCatalogue.names[name].bytes, at: server.wall(now))
    }

    // MARK: The end of all faults

    func endFaults() {
        for client in clients {
            client.resume()
            for link in client.links { link.heal() }
            if client.isDead { client.start() }
        }
        for server in servers {
            server.outOfMemoryUntil = 0
            server.busyUntil = 0
            server.loadingUntil = 0
            server.pausedUntil = 0
            if !server.isDown { runBacklog(of: server) }
        }
    }
}
