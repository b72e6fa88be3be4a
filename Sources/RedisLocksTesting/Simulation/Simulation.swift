import Reactor
import RedisLocks

/// One schedule: clients, servers and a network in virtual time, all decided by a seed.
///
/// What runs is the shipped lock engine; around it nothing is real. One job on one reactor runs all of it, without tasks or
/// threads, so the same seed does the same thing every time, on every machine.
///
/// Guard: a simulation and all of its parts are used on one reactor, in one job.
package final class Simulation: @unchecked Sendable {
    let reactor: Reactor
    let plan: SimulationPlan
    private(set) var now: Int64 = 0
    private var queue = SimulationQueue()
    private var ties: SimulationRandom
    var network: SimulationRandom
    var chaos: SimulationRandom
    private(set) var servers: [SimulatedServer] = []
    private(set) var clients: [SimulatedClient] = []
    private var messages: ContiguousArray<SimulatedMessage?> = []
    private var freeMessages: [Int32] = []
    private var storeRequests: ContiguousArray<StoreRequest> = []
    private var store = SimulatedStore()
    private(set) var isHealed = false
    private var finale: [[LockName]] = []

    var history = LockHistory()
    var violations: [Violation] = []
    var sometimes = SometimesCounts()
    private(set) var eventCount = 0
    var faultCount = 0
    /// Differs when anything happened differently.
    private(set) var digest: UInt64 = 0xCBF2_9CE4_8422_2325
    /// What happened last, for people; kept when asked for.
    var trace: SimulationTrace?

    init(seed: UInt64, options: SimulationOptions, reactor: Reactor, isTraced: Bool) {
        self.reactor = reactor
        plan = SimulationPlan(seed: seed, options: options)
        ties = SimulationRandom(seed: seed, stream: 2)
        network = SimulationRandom(seed: seed, stream: 3)
        chaos = SimulationRandom(seed: seed, stream: 4)
        if isTraced { trace = SimulationTrace() }
        servers = plan.servers.enumerated().map { SimulatedServer(index: $0, plan: $1) }
        if plan.faults.has(.divergedCounters) { divergeCounters() }
        for (index, client) in plan.clients.enumerated() {
            clients.append(SimulatedClient(world: self, index: index, plan: client, seed: seed))
        }
    }

    // MARK: Events

    func push(
        _ kind: SimulationEvent.Kind, at time: Int64, _ subject: Int = 0, _ slot: Int32 = 0, _ other: Int = 0,
        _ generation: UInt32 = 0
    ) {
        queue.push(
            SimulationEvent(
                time: time, tie: UInt32(truncatingIfNeeded: ties.next()), kind: kind,
                subject: Int32(truncatingIfNeeded: subject), slot: slot, other: Int32(truncatingIfNeeded: other),
                generation: generation))
    }

    func push(_ kind: SimulationEvent.Kind, at time: Int64, _ message: Int32) {
        push(kind, at: time, Int(message))
    }

    func store(_ message: SimulatedMessage) -> Int32 {
        if let slot = freeMessages.popLast() {
            messages[Int(slot)] = message
            return slot
        }
        messages.append(message)
        return Int32(messages.count - 1)
    }

    private func take(_ slot: Int) -> SimulatedMessage? {
        defer {
            messages[slot] = nil
            freeMessages.append(Int32(slot))
        }
        return messages[slot]
    }

    /// Whether a fault that strikes messages strikes this one.
    @inline(__always)
    func mayFail(_ fault: SimulationFault, perMille: Int? = nil) -> Bool {
        guard plan.faults.has(fault), !isHealed, network.chance(perMille ?? plan.faultRate) else { return false }
        faultCount += 1
        return true
    }

    /// Mostly about the time that matters to leases.
    func longDelay() -> Int64 {
        let ttl = plan.catalogue.maximumTTL
        if plan.isTokenStorm { return network.between(0, 60 * plan.latency) }
        return network.chance(500) ? network.between(0, ttl / 5) : network.between(0, ttl * 2)
    }

    /// Less than this is hardly worth the making.
    private static let fewestEvents = 200

    /// Whether clients go on although they have done what the plan says.
    var isTooShort: Bool { !plan.isShortened && eventCount < Self.fewestEvents }

    func run() {
        for client in clients { client.start() }
        for (index, fault) in plan.timedFaults.enumerated() { push(.fault, at: fault.time, index) }
        push(.heal, at: plan.horizon)
        drain()
        runFinale()
        checkEnd()
        for client in clients { client.dismantle() }
        clients = []
        queue.removeAll()
        messages = []
    }

    /// Beyond any schedule that ends.
    private static let mostEvents = 200_000

    private func drain() {
        while let event = queue.pop() {
            now = max(now, event.time)
            if happens(event) {
                eventCount += 1
                note(event)
            }
            if eventCount > Self.mostEvents {
                return violations.append(Violation(.undecided, "The schedule does not end."))
            }
        }
    }

    private func note(_ event: SimulationEvent) {
        var word = UInt64(bitPattern: event.time) ^ UInt64(event.kind.rawValue) << 56
        word ^= UInt64(UInt32(bitPattern: event.subject)) << 32 ^ UInt64(UInt32(bitPattern: event.slot))
        digest = (digest ^ word) &* 0x0000_0100_0000_01B3
        digest ^= digest >> 29
    }

    /// What an outcome adds to the digest.
    func note(_ number: Int64) {
        digest = (digest ^ UInt64(bitPattern: number)) &* 0x0000_0100_0000_01B3
        digest ^= digest >> 31
    }

    /// Returns `false` for what has been overtaken and means nothing any more.
    private func happens(_ event: SimulationEvent) -> Bool {
        switch event.kind {
        case .timer, .deadline, .act, .cancel: return happensAtClient(event)
        case .arrival: return arrives(Int(event.subject))
        case .answer: return isAnswered(Int(event.subject))
        case .breakage:
            guard let link = link(event), link.connection == event.generation else { return false }
            link.breakConnection(forHowLong: network.chance(500) ? 0 : network.between(0, 10 * plan.latency))
        case .storeArrival:
            let kind = store.execute(&storeRequests[Int(event.subject)])
            stored(storeRequests[Int(event.subject)], kind)
            push(.storeAnswer, at: now + network.between(1, plan.latency * 2), Int(event.subject))
        case .storeAnswer:
            let request = storeRequests[Int(event.subject)]
            guard let wakesAt = awaken(request.client) else { return false }
            guard wakesAt <= now else {
                push(.storeAnswer, at: wakesAt + network.between(0, 20_000), Int(event.subject))
                return false
            }
            clients[request.client].tasks[request.task].storeAnswered(request)
        case .fault: begin(plan.timedFaults[Int(event.subject)].fault)
        case .eviction: evict(servers[Int(event.subject)], name: Int(event.slot))
        case .serverResumes: resume(servers[Int(event.subject)])
        case .serverStarts: start(servers[Int(event.subject)])
        case .clientStarts:
            guard clients[Int(event.subject)].isDead else { return false }
            clients[Int(event.subject)].start()
        case .heal: heal()
        }
        return true
    }

    private func link(_ event: SimulationEvent) -> SimulatedLink? {
        let links = clients[Int(event.subject)].links
        return links.indices.contains(Int(event.other)) ? links[Int(event.other)] : nil
    }

    /// When the client can do something; `nil` for never.
    private func awaken(_ client: Int) -> Int64? {
        clients[client].isDead ? nil : max(clients[client].pausedUntil, now)
    }

    private func happensAtClient(_ event: SimulationEvent) -> Bool {
        let client = clients[Int(event.subject)]
        guard let wakesAt = awaken(client.index) else { return false }
        if event.kind == .timer, !client.isCurrent(event.slot, event.generation) { return false }
        guard wakesAt <= now else {
            var event = event
            event.time = wakesAt + network.between(0, 20_000)
            queue.push(event)
            return false
        }
        switch event.kind {
        case .timer: client.fire(event.slot, event.generation)
        case .deadline:
            guard let link = link(event) else { return false }
            return link.deadlinePassed(event.slot, event.generation)
        case .act: return client.tasks[Int(event.slot)].act(event.generation)
        case .cancel: client.tasks[Int(event.slot)].cancel(Int(event.generation))
        default: break
        }
        return true
    }

    // MARK: Messages

    private func isAnswered(_ slot: Int) -> Bool {
        guard let message = messages[slot] else { return false }
        let client = message.link.client
        guard let wakesAt = awaken(client.index), message.link.isWaitedFor(message) else {
            _ = take(slot)
            return false
        }
        if let later = message.link.deliveryTime(message, wakesAt: wakesAt) {
            push(.answer, at: later, Int32(slot))
            return false
        }
        _ = take(slot)
        trace?.add(now, "\(client.label) <- \(message.link.label): \(message.response?.summary ?? "")")
        message.link.deliver(message)
        return true
    }

    private func arrives(_ slot: Int) -> Bool {
        guard let message = messages[slot] else { return false }
        let server = message.link.server
        guard !server.isDown, message.link.carries(message) else {
            _ = take(slot)
            return false
        }
        if server.isPaused(now) {
            server.backlog.append(Int32(slot))
            return true
        }
        _ = take(slot)
        receive(message, at: server)
        return true
    }

    func runBacklog(of server: SimulatedServer) {
        let backlog = server.backlog
        server.backlog = []
        for slot in backlog {
            guard let message = take(Int(slot)), message.link.carries(message) else { continue }
            receive(message, at: server)
        }
    }

    // MARK: Store

    func askStore(_ kind: StoreRequest.Kind, _ task: SimulatedTask, value: Int64 = 0) {
        storeRequests.append(
            StoreRequest(
                kind: kind, client: task.client.index, task: task.index, operation: task.operation, token: task.token,
                name: SimulationCatalogue.index(of: task.names), value: value))
        var delay = network.between(1, plan.latency * 2)
        if plan.faults.has(.delay), !isHealed, network.chance(100) { delay = longDelay() }
        push(.storeArrival, at: now + delay, storeRequests.count - 1)
    }

    // MARK: The end

    private func heal() {
        isHealed = true
        endFaults()
    }

    /// With all faults gone, whoever waits long enough gets what it asks for.
    private func runFinale() {
        guard violations.isEmpty, chaos.chance(150), let client = clients.first(where: { !$0.plan.isRaw }) else {
            return
        }
        let patience = plan.catalogue.maximumTTL * 6 + (plan.catalogue.guardTime ?? 0) * 2 + 5_000_000_000
        for index in 0..<plan.nameCount {
            guard client.tasks[0].isDone else { break }
            client.tasks[0].beginLast([SimulationCatalogue.names[index]], wait: patience)
            drain()
        }
    }
}
