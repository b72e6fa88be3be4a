import Reactor
import RedisLocks

/// A process of a simulation: its clock, its timers, its engine, and the tasks that take locks.
///
/// Guard: a simulation and all of its parts are used on one reactor, in one job.
final class SimulatedClient: TimerScheduler, @unchecked Sendable {
    private struct Timer {
        var action: (() -> Void)?
        var generation: UInt32 = 0
        var deadline: Int64 = 0
    }

    let world: Simulation
    let index: Int
    let label: String
    let plan: SimulationPlan.Client
    var clock: SimulatedClock
    var random: SimulationRandom
    private(set) var pausedUntil: Int64 = 0
    private(set) var isDead = false
    private var incarnation = 0
    private(set) var links: [SimulatedLink] = []
    private(set) var engine: LockEngine?
    var tasks: [SimulatedTask] = []

    private var timers: ContiguousArray<Timer> = []
    private var freeTimers: [Int32] = []
    /// Who was asked for last, by first name: there is one attempt at a time for each.
    private var lastOwners: [OwnerID?] = Array(repeating: nil, count: SimulationCatalogue.names.count)

    init(world: Simulation, index: Int, plan: SimulationPlan.Client, seed: UInt64) {
        self.world = world
        self.index = index
        self.plan = plan
        label = "c\(index)"
        clock = SimulatedClock(fastness: plan.fastness)
        random = SimulationRandom(seed: seed, stream: 1000 + UInt64(index))
    }

    /// The process starts.
    func start() {
        isDead = false
        incarnation += 1
        let fresh = random.next()
        if plan.isRaw {
            links = makeLinks()
        } else {
            let runtime = LockRuntime(
                reactor: world.reactor, timers: self, makeGenerator: { SimulationRandom(seed: fresh) },
                makeNodes: { [self] in
                    links = makeLinks()
                    return links
                })
            engine = LockEngine(runtime: runtime, settings: world.plan.catalogue.settings) { [world] in
                world.engineReported($0)
            }
        }
        if tasks.isEmpty {
            tasks = (0..<plan.tasks).map { SimulatedTask(client: self, index: $0) }
        }
        for task in tasks { task.start() }
    }

    private func makeLinks() -> [SimulatedLink] {
        world.servers.map {
            SimulatedLink(
                world: world, client: self, server: $0,
                latency: world.plan.latency / 2 + random.between(0, world.plan.latency), incarnation: incarnation)
        }
    }

    /// Runs `body` on the engine.
    func onEngine(_ body: (isolated LockEngine) -> Void) {
        engine?.assumeIsolated(body)
    }

    // MARK: TimerScheduler

    var now: ContinuousClock.Instant { SimulationTime.instant(clock.reading(at: world.now)) }

    func schedule(at deadline: ContinuousClock.Instant, _ action: @escaping () -> Void) -> TimerID {
        let slot: Int32
        if let reused = freeTimers.popLast() {
            slot = reused
        } else {
            slot = Int32(timers.count)
            timers.append(Timer())
        }
        let reading = SimulationTime.nanoseconds(deadline)
        timers[Int(slot)].action = action
        timers[Int(slot)].deadline = reading
        let generation = timers[Int(slot)].generation
        // What is due already takes a turn of the reactor all the same.
        world.push(.timer, at: max(world.now + 5000, clock.instant(of: reading)), index, slot, 0, generation)
        return TimerID(rawValue: UInt64(generation) << 32 | UInt64(UInt32(slot)))
    }

    func cancel(_ timer: TimerID) {
        let slot = Int32(truncatingIfNeeded: timer.rawValue)
        guard timers[Int(slot)].generation == UInt32(timer.rawValue >> 32) else { return }
        _ = take(slot)
    }

    private func take(_ slot: Int32) -> (() -> Void)? {
        timers[Int(slot)].generation &+= 1
        freeTimers.append(slot)
        defer { timers[Int(slot)].action = nil }
        return timers[Int(slot)].action
    }

    func isCurrent(_ slot: Int32, _ generation: UInt32) -> Bool {
        timers[Int(slot)].generation == generation
    }

    func fire(_ slot: Int32, _ generation: UInt32) {
        // A clock that stood still is behind what was calculated.
        let deadline = timers[Int(slot)].deadline
        if clock.reading(at: world.now) < deadline {
            return world.push(.timer, at: clock.instant(of: deadline), index, slot, 0, generation)
        }
        take(slot)?()
    }

    // MARK: Pause and death

    func isPaused(_ now: Int64) -> Bool { pausedUntil > now }

    /// - Parameter clockStops: whether the clock does not notice.
    func pause(forHowLong duration: Int64, clockStops: Bool) {
        guard !isDead, !isPaused(world.now) else { return }
        pausedUntil = world.now + duration
        // Nothing looks at it in between, so it may go back now and have caught up at the end.
        if clockStops {
            clock.step(by: clock.reading(at: world.now) - clock.reading(at: pausedUntil), at: world.now)
        }
    }

    func resume() { pausedUntil = 0 }

    func crash() {
        isDead = true
        pausedUntil = 0
        for link in links { link.abandon() }
        for slot in timers.indices where timers[slot].action != nil { _ = take(Int32(slot)) }
        links = []
        engine = nil
        for task in tasks { task.processDied() }
    }

    /// The end of the schedule: what refers to each other does so no longer.
    func dismantle() {
        crash()
        tasks = []
    }

    // MARK: What happens on its links

    func noteSent(_ request: NodeRequest) {
        if case .acquire(let request) = request {
            lastOwners[SimulationCatalogue.index(of: request.names)] = request.owner
        }
    }

    /// A lease is being extended (`nil`), or has been by a server.
    func noteExtension(_ request: NodeRequest, by server: Int?) {
        guard case .extend(_, let owner, _, _, _) = request else { return }
        for task in tasks { task.extends(owner, by: server) }
    }

    func lastOwner(_ names: [LockName]) -> OwnerID? {
        lastOwners[SimulationCatalogue.index(of: names)]
    }

    /// A grant that comes when the lease is held already is the lease's own.
    func noteLateGrant(_ request: AcquireRequest, _ response: NodeResponse) {
        guard case .reply(let reply) = response else { return }
        switch reply {
        case .granted, .alreadyOurs:
            for task in tasks where task.justHeld(request.owner) { world.sometimes.note(.lateWinnerAdopted) }
        default: break
        }
    }
}
