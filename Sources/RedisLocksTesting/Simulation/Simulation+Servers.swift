import Hiredis
import RedisLocks

/// What servers do with requests.
extension Simulation {
    private static func failure(_ line: String) -> NodeResponse {
        .failure(NodeFailure(RedisServerError(line)))
    }

    private static let loading = failure("LOADING Redis is loading the dataset in memory")
    private static let busy = failure(
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.")
    private static let outOfMemory = failure("OOM command not allowed when used memory > 'maxmemory'.")

    func receive(_ message: SimulatedMessage, at server: SimulatedServer) {
        let wall = server.wall(now)
        if let error = error(message, server) { return message.link.reply(message, error, at: wall) }
        if let bit = message.request.scriptBit {
            if server.scripts & bit == 0, !message.isWhole {
                message.isUnknownScript = true
                return message.link.reply(message, .reply(.pong), at: wall)
            }
            server.scripts |= bit
        }
        if case .confirm(let names, _, let top, _) = message.request { raiseCounters(names, top, server) }
        let response = server.execute(message.request, at: now)
        trace?.add(
            now,
            "\(server.label) executes \(message.link.client.label)'s \(message.request.summary): \(response.summary)")
        look(at: response, to: message, server)
        message.link.reply(message, response, at: wall)
    }

    private func error(_ message: SimulatedMessage, _ server: SimulatedServer) -> NodeResponse? {
        if server.loadingUntil > now { return Self.loading }
        if server.busyUntil > now { return Self.busy }
        if case .acquire = message.request, server.outOfMemoryUntil > now { return Self.outOfMemory }
        return nil
    }

    private func look(at response: NodeResponse, to message: SimulatedMessage, _ server: SimulatedServer) {
        guard case .reply(let reply) = response else { return }
        switch reply {
        case .granted(let top):
            note(top)
            if message.slot >= 0, !message.link.isWaitedFor(message) { sometimes.note(.zombieGrant) }
            if plan.faults.has(.eviction), !isHealed, chaos.chance(plan.isTokenStorm ? 500 : 200) {
                faultCount += 1
                let name = SimulationCatalogue.index(of: message.request.names)
                push(.eviction, at: now + chaos.between(0, plan.latency * 4), server.index, Int32(name))
            }
        case .alreadyOurs:
            if servers.count == 1, message.slot >= 0 { sometimes.note(.repeatedRequest) }
        case .held:
            if servers.count > 2, sometimes[.splitVote] == 0, case .acquire(let request) = message.request {
                lookForSplitVote(request.names[0])
            }
        case .quarantined: sometimes.note(.quarantineRefusal)
        case .raised: sometimes.note(.raisedInConfirm)
        default: break
        }
    }

    private func lookForSplitVote(_ name: LockName) {
        var votes: [(holder: InMemoryRedis.Value, count: Int)] = []
        for server in servers {
            guard !server.isDown, let holder = server.redis.entry(name.bytes, at: server.wall(now))?.value else {
                return
            }
            if let index = votes.firstIndex(where: { $0.holder == holder }) {
                votes[index].count += 1
            } else {
                votes.append((holder, 1))
            }
        }
        if votes.allSatisfy({ $0.count < plan.majority }) { sometimes.note(.splitVote) }
    }

    // MARK: Counters

    /// Counters as failed attempts leave them, though never ahead of the clock.
    func divergeCounters() {
        for server in servers {
            for name in SimulationCatalogue.names where chaos.chance(600) {
                let wall = server.wall(0)
                let anchor = plan.terms[0].granularityMicroseconds
                let base = wall.microseconds - wall.microseconds % anchor
                server.redis.setCounter(name, base + chaos.between(0, 5), at: wall)
            }
        }
    }

    /// An operator does, or somebody else's version. All counters of the set go up together, as ACQUIRE has them.
    private func raiseCounters(_ names: [LockName], _ top: Int64, _ server: SimulatedServer) {
        guard plan.faults.has(.raisedCounters), !isHealed, chaos.chance(600) else { return }
        faultCount += 1
        let wall = server.wall(now)
        let raised = names.reduce(top) { max($0, server.redis.counter($1, at: wall) ?? 0) } + chaos.between(1, 3)
        for name in names { server.redis.setCounter(name, raised, at: wall) }
    }
}

extension NodeRequest {
    fileprivate var scriptBit: UInt8? {
        switch self {
        case .acquire: 1
        case .confirm: 2
        case .extend: 4
        case .release: 8
        default: nil
        }
    }
}

extension InMemoryRedis {
    fileprivate func counter(_ name: LockName, at now: WallTime) -> Int64? {
        guard case .string(let digits) = entry(name.fenceKey, at: now)?.value else { return nil }
        return Int64(String(decoding: digits, as: UTF8.self))
    }

    fileprivate mutating func setCounter(_ name: LockName, _ value: Int64, at now: WallTime) {
        set(name.fenceKey, Array(String(value).utf8), expiringIn: 7 * 86_400_000, at: now)
    }
}
