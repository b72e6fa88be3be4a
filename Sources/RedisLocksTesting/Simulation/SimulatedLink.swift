import Hiredis
import RedisLocks

/// A client's way to one server: one connection at a time, in order on each, none across them.
///
/// Guard: a simulation and all of its parts are used on one reactor, in one job.
final class SimulatedLink: LockNode, @unchecked Sendable {
    private struct Pending {
        var completion: ((NodeResponse) -> Void)?
        var generation: UInt32
        var connection: Int32 = 0
        /// By the client's clock.
        var sent: ContinuousClock.Instant
    }

    let world: Simulation
    let client: SimulatedClient
    let server: SimulatedServer
    private let latency: Int64
    /// Of a process; what was planned for the process before means nothing to its successor.
    private let firstGeneration: UInt32
    var label: String { server.label }
    var isDurable: Bool { server.plan.isDurable }
    var onEvent: ((NodeEvent) -> Void)?
    private(set) var lastReading: ClockReading?

    private var pending: ContiguousArray<Pending> = []
    private var free: [Int32] = []
    private var isClosed = false
    private(set) var connection: Int32 = 0
    /// Until when what was sent on each connection still arrives.
    private var ends: [Int64] = [.max]
    private var upAt: Int64 = 0
    private var lastArrival: Int64 = 0
    private var lastAnswer: Int64 = 0
    /// Answers are not delivered before, so that they stay in order when a client sleeps.
    private var lastDelivery: Int64 = 0
    private var deafUntil: Int64 = 0

    init(world: Simulation, client: SimulatedClient, server: SimulatedServer, latency: Int64, incarnation: Int) {
        self.world = world
        self.client = client
        self.server = server
        self.latency = latency
        firstGeneration = UInt32(incarnation) << 20
    }

    func setWanted(_ isWanted: Bool) {}

    // MARK: Sending

    func send(
        _ request: NodeRequest, deadline: ContinuousClock.Instant, completion: @escaping (NodeResponse) -> Void
    ) {
        let slot = open(completion)
        let generation = pending[Int(slot)].generation
        let end = SimulationTime.nanoseconds(deadline)
        if isClosed || end <= client.clock.reading(at: world.now) {
            return answer(slot, isClosed ? Self.closed : Self.expired, after: 0)
        }
        world.push(
            .deadline, at: client.clock.instant(of: end), client.index, slot, server.index, generation)
        let departure = max(world.now, upAt)
        if server.isDown { return answer(slot, Self.refused, after: departure - world.now + 2 * latency) }
        client.noteSent(request)
        if server.index == 0 { client.noteExtension(request, by: nil) }
        transmit(SimulatedMessage(self, slot, generation, connection, request), departure)
    }

    private func open(_ completion: @escaping (NodeResponse) -> Void) -> Int32 {
        let slot: Int32
        if let reused = free.popLast() {
            slot = reused
        } else {
            slot = Int32(pending.count)
            pending.append(Pending(generation: firstGeneration, sent: client.now))
        }
        pending[Int(slot)].completion = completion
        pending[Int(slot)].connection = connection
        pending[Int(slot)].sent = client.now
        return slot
    }

    private func transmit(_ message: SimulatedMessage, _ departure: Int64) {
        var delay = latency + Int64(world.network.below(Int(latency)))
        if world.mayFail(.delay) { delay += world.longDelay() }
        // The second round is where much may have happened since the first.
        var isSecondRound = false
        if case .confirm = message.request { isSecondRound = true }
        let isStorm = world.plan.isTokenStorm
        if isSecondRound, world.mayFail(.delay, perMille: isStorm ? 600 : 300) {
            delay += world.network.between(0, (isStorm ? 60 : 30) * latency)
        }
        let arrival = max(departure + delay, lastArrival + 1)
        lastArrival = arrival
        if world.mayFail(.duplicate, perMille: isSecondRound || isStorm ? 400 : nil) {
            let later = world.network.chance(500) && !isSecondRound ? world.longDelay() : latency * 30
            world.push(.arrival, at: arrival + world.network.between(1, later), world.store(message.duplicate))
        }
        world.push(.arrival, at: arrival, world.store(message))
        if world.mayFail(.breakage) {
            let moment = world.now + world.network.between(0, 4 * latency)
            world.push(.breakage, at: moment, client.index, 0, server.index, UInt32(connection))
        }
    }

    /// The server did not know the script: the client sends it whole, behind whatever it has sent since.
    private func resend(_ message: SimulatedMessage) {
        message.response = nil
        message.isWhole = true
        message.isUnknownScript = false
        transmit(message, world.now)
    }

    // MARK: At the server

    /// Whether what was sent on that connection still arrives.
    func carries(_ message: SimulatedMessage) -> Bool {
        ends[Int(message.connection)] > world.now
    }

    func isWaitedFor(_ message: SimulatedMessage) -> Bool {
        message.slot >= 0 && (message.connection < 0 || message.connection == connection)
            && pending[Int(message.slot)].generation == message.generation
    }

    /// The server has answered.
    func reply(_ message: SimulatedMessage, _ response: NodeResponse, at wall: WallTime) {
        guard message.slot >= 0, message.connection == connection, deafUntil <= world.now else { return }
        var delay = latency + Int64(world.network.below(Int(latency)))
        if world.mayFail(.delay) { delay += world.longDelay() }
        lastAnswer = max(world.now + delay, lastAnswer + 1)
        message.response = response
        message.wall = wall
        world.push(.answer, at: lastAnswer, world.store(message))
    }

    // MARK: At the client

    /// Something for the client alone, such as that there is no connection.
    private func answer(_ slot: Int32, _ response: NodeResponse, after delay: Int64) {
        let message = SimulatedMessage(self, slot, pending[Int(slot)].generation, -1, .ping)
        message.response = response
        world.push(.answer, at: world.now + delay, world.store(message))
    }

    /// Until when an answer must wait because those before it do.
    func deliveryTime(_ message: SimulatedMessage, wakesAt: Int64) -> Int64? {
        let isOwn = message.connection < 0
        guard wakesAt > world.now || (!isOwn && lastDelivery > world.now) else { return nil }
        var time = max(wakesAt, world.now) + world.network.between(0, 20_000)
        if !isOwn {
            time = max(time, lastDelivery + 1)
            lastDelivery = time
        }
        return time
    }

    func deliver(_ message: SimulatedMessage) {
        guard let response = message.response else { return }
        if message.isUnknownScript { return resend(message) }
        if case .reply = response, message.request.tellsTime {
            lastReading = ClockReading(
                server: message.wall.microseconds, sent: pending[Int(message.slot)].sent, received: client.now)
        }
        if response == .reply(.extended) { client.noteExtension(message.request, by: server.index) }
        if case .acquire(let request) = message.request { client.noteLateGrant(request, response) }
        complete(message.slot, response)
    }

    /// Returns `false` when the request was answered before.
    func deadlinePassed(_ slot: Int32, _ generation: UInt32) -> Bool {
        guard pending.indices.contains(Int(slot)), pending[Int(slot)].generation == generation else { return false }
        complete(slot, Self.timedOut)
        // A client that is owed an answer may give its connection up: what follows overtakes what is under way.
        if world.network.chance(300) { breakConnection(forHowLong: 0, arrives: true) }
        return true
    }

    private func complete(_ slot: Int32, _ response: NodeResponse) {
        pending[Int(slot)].generation &+= 1
        guard let completion = pending[Int(slot)].completion else { return }
        pending[Int(slot)].completion = nil
        free.append(slot)
        completion(response)
    }

    // MARK: Connections

    /// - Parameter arrives: whether all that was sent still arrives, although nobody waits for it; `nil` for chance.
    func breakConnection(forHowLong duration: Int64, arrives: Bool? = nil) {
        let arrives = arrives ?? world.network.chance(500)
        ends[Int(connection)] = arrives ? .max : world.now + world.network.between(0, 4 * latency)
        let old = connection
        connection += 1
        ends.append(.max)
        upAt = world.now + duration
        lastArrival = upAt
        lastAnswer = upAt
        deafUntil = 0
        for slot in pending.indices where pending[slot].completion != nil && pending[slot].connection == old {
            answer(Int32(slot), Self.broken, after: 0)
        }
    }

    /// The server is gone: nothing that was sent arrives.
    func serverDied() {
        ends[Int(connection)] = world.now
        breakConnection(forHowLong: latency, arrives: false)
        for index in ends.indices.dropLast() { ends[index] = min(ends[index], world.now) }
    }

    func goDeaf(forHowLong duration: Int64) { deafUntil = world.now + duration }

    func heal() {
        upAt = min(upAt, world.now)
        deafUntil = 0
    }

    func close(deadline: ContinuousClock.Instant, completion: @escaping () -> Void) {
        isClosed = true
        completion()
    }

    /// The process is gone. What it has sent is on its way; nobody waits for answers.
    func abandon() {
        isClosed = true
        for slot in pending.indices {
            pending[slot].completion = nil
            pending[slot].generation &+= 1
        }
        ends[Int(connection)] = world.network.chance(500) ? .max : world.now
        onEvent = nil
    }

    var isIdle: Bool { pending.allSatisfy { $0.completion == nil } }

    private static let timedOut = NodeResponse.failure(NodeFailure(.ambiguous, .timedOut))
    private static let expired = NodeResponse.failure(NodeFailure(.notApplied, .timedOut))
    private static let closed = NodeResponse.failure(NodeFailure(.notApplied, .unreachable("closed")))
    private static let refused = NodeResponse.failure(NodeFailure(.notApplied, .unreachable("connection refused")))
    private static let broken = NodeResponse.failure(NodeFailure(.ambiguous, .unreachable("the connection broke")))
}
