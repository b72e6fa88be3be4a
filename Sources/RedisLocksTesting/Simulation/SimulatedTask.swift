import RedisLocks

/// A thread of control of a client: takes a lock, works under it, gives it back, again and again.
///
/// It asks for its lease's status before each effect, as users are told to, and nevertheless what it sent to the store may
/// arrive late.
///
/// Guard: a simulation and all of its parts are used on one reactor, in one job.
final class SimulatedTask: @unchecked Sendable {
    private enum Phase {
        case idle, asking, working, windingDown, releasing, done
    }

    let client: SimulatedClient
    let index: Int
    var world: Simulation { client.world }
    private var phase = Phase.idle
    private var operationsLeft: Int
    /// Invalidates what was planned before.
    private var step: UInt32 = 0

    /// Of the operation under way: its place in the history, its names, and its lease.
    private(set) var operation = -1
    private(set) var names: [LockName] = []
    private(set) var token: Int64 = 0
    private var waiter: UInt64 = 0
    private var lease: LeaseState?
    private var owner: OwnerID?
    private var holdUntil: Int64 = 0
    private var renewals = 0
    /// The servers that have extended the lease since it was last asked for, as bits.
    private var extendedBy: UInt32 = 0
    private var deadline: Int64 = 0
    private var raw: RawAttempt?
    private var isLast = false

    init(client: SimulatedClient, index: Int) {
        self.client = client
        self.index = index
        operationsLeft = client.world.plan.operationsPerTask
    }

    // MARK: Steps

    func start() {
        phase = .idle
        planNext()
    }

    private func planNext() {
        if world.plan.isHerd {
            let next = (world.now / pace + 1) * pace - world.now
            return plan(after: next + client.random.between(0, world.plan.latency * 2))
        }
        plan(after: client.random.chance(300) ? 0 : client.random.between(0, pace * 2))
    }

    /// The usual time between two operations.
    private var pace: Int64 { world.plan.horizon / Int64(4 * world.plan.operationsPerTask) }

    private func plan(after delay: Int64) {
        step &+= 1
        world.push(.act, at: world.now + delay, client.index, Int32(index), 0, step)
    }

    /// Returns `false` when something else was planned since.
    func act(_ step: UInt32) -> Bool {
        guard step == self.step else { return false }
        switch phase {
        case .idle: begin()
        case .working, .windingDown: work()
        case .asking, .releasing, .done: return false
        }
        return true
    }

    private func begin() {
        guard world.isTooShort || (operationsLeft > 0 && !world.isHealed) else {
            phase = .done
            return
        }
        operationsLeft -= 1
        let isHasty = world.plan.isTokenStorm || client.random.chance(150)
        let wait = isHasty ? 0 : client.random.between(0, world.plan.catalogue.maximumTTL)
        ask(world.randomNames(&client.random), terms: client.random.pick(world.plan.terms), wait: wait)
    }

    /// One more at the end, when all faults are gone: whoever asks long enough must get it.
    func beginLast(_ names: [LockName], wait: Int64) {
        isLast = true
        phase = .idle
        ask(names, terms: world.plan.catalogue.terms[0], wait: wait)
    }

    var isDone: Bool { phase == .done || phase == .idle }

    private func ask(_ names: [LockName], terms: LockTerms, wait: Int64) {
        var terms = terms
        terms.names = names
        self.names = names
        phase = .asking
        (lease, raw, renewals) = (nil, nil, 0)
        operation = world.begin(client: client, names: names)
        if client.plan.isRaw {
            let raw = RawAttempt(self, terms)
            self.raw = raw
            return raw.start()
        }
        let id = operation
        let hasBody = client.random.chance(500)
        let completion: @Sendable (AcquireResult) -> Void = { [self] in answered($0, id) }
        client.onEngine { engine in
            waiter = engine.nextID()
            engine.request(waiter, terms, wait: .nanoseconds(wait), hasBody: hasBody, completion: completion)
        }
        if phase == .asking, !isLast, world.plan.faults.has(.cancellation), client.random.chance(200) {
            let moment = world.now + client.random.between(0, 20 * world.plan.latency)
            world.push(.cancel, at: moment, client.index, Int32(index), 0, UInt32(id))
        }
    }

    func cancel(_ operation: Int) {
        guard phase == .asking, operation == self.operation else { return }
        client.onEngine { $0.cancelWaiter(waiter) }
    }

    // MARK: Granted or not

    private func answered(_ result: AcquireResult, _ id: Int) {
        guard id == operation else { return }
        switch result {
        case .failed(let error):
            world.refused(id, error, isLast: isLast)
            rest()
        case .granted(let grant):
            world.granted(grant)
            hold(grant.state)
        }
    }

    private func rest() {
        phase = .idle
        (lease, raw) = (nil, nil)
        planNext()
    }

    private func hold(_ state: LeaseState) {
        phase = .working
        lease = state
        token = state.token
        owner = client.lastOwner(names)
        deadline = SimulationTime.nanoseconds(state.deadline)
        world.grant(operation, token: token, deadline: client.clock.instant(of: deadline))
        watch(state, operation)
        let ttl = world.plan.catalogue.maximumTTL
        let isLong = client.random.chance(200)
        holdUntil =
            isLast || world.plan.isTokenStorm
            ? world.now : world.now + client.random.between(0, isLong ? ttl * 2 : ttl / 3)
        workOrWait()
    }

    private func watch(_ state: LeaseState, _ id: Int) {
        _ = state.addObserver { [self] event in
            switch event {
            case .renewed(let deadline): renewed(id, SimulationTime.nanoseconds(deadline))
            case .lost: world.ended(id)
            default: break
            }
        }
    }

    private func renewed(_ id: Int, _ deadline: Int64) {
        guard id == operation else { return }
        renewals += 1
        if extendedBy.nonzeroBitCount < world.plan.majority { world.renewedWithoutMajority(id) }
        if client.clock.reading(at: world.now) > self.deadline { world.resurrected(id) }
        self.deadline = deadline
        world.renew(id, deadline: client.clock.instant(of: deadline))
    }

    func extends(_ owner: OwnerID, by server: Int?) {
        guard self.owner == owner else { return }
        if let server { extendedBy |= 1 << UInt32(server) } else { extendedBy = 0 }
    }

    func justHeld(_ owner: OwnerID) -> Bool {
        phase == .working && renewals == 0 && self.owner == owner
    }

    // MARK: Working

    private var isHeld: Bool {
        if let lease { return lease.status(at: client.now) == .held }
        return client.clock.reading(at: world.now) < deadline
    }

    private func work() {
        guard isHeld else { return notHeld() }
        world.seenHeld(operation)
        if phase == .windingDown { world.resurrected(operation) }
        if world.now >= holdUntil || world.isHealed { return release() }
        if client.random.chance(600) { world.askStore(.claim, self) } else { workOrWait() }
    }

    private func workOrWait() {
        let left = max(0, holdUntil - world.now)
        plan(after: min(client.random.between(0, max(left, world.plan.latency * 4)), left))
    }

    /// The store has answered: claim, read, write, each under the eyes of the lease.
    func storeAnswered(_ request: StoreRequest) {
        guard request.operation == operation, phase == .working else { return }
        guard isHeld else { return notHeld() }
        world.seenHeld(operation)
        guard request.isAccepted else { return workOrWait() }
        switch request.kind {
        case .claim: world.askStore(.read, self)
        case .read: world.askStore(.write, self, value: request.value + 1)
        case .write: workOrWait()
        }
    }

    /// Whoever works on for a moment must not be told that it holds the lock again.
    private func notHeld() {
        world.ended(operation)
        guard phase == .working else { return release() }
        phase = .windingDown
        if renewals > 0 { world.sometimes.note(.lostAfterExtension) }
        plan(after: client.random.between(0, world.plan.catalogue.maximumTTL / 4))
    }

    private func release() {
        phase = .releasing
        let id = operation
        world.releasing(id)
        if let raw {
            if isHeld { world.handOff(id, tokens: raw.others) }
            raw.release()
            return rest()
        }
        let completion: @Sendable (ReleaseResult) -> Void = { [self] result in
            if result == .released { world.released(id) }
            if id == operation { rest() }
        }
        client.onEngine { $0.finish(waiter, completion: completion) }
    }

    // MARK: Without an engine

    /// A raw attempt was granted a block: its first token is used now, the others later in the same lease.
    func rawGranted(first: Int64, deadline: Int64) {
        phase = .working
        token = first
        self.deadline = deadline
        world.grant(operation, token: first, deadline: client.clock.instant(of: deadline))
        holdUntil = world.now + client.random.between(0, world.plan.catalogue.maximumTTL / 2)
        workOrWait()
    }

    func rawRefused() {
        world.refused(operation)
        rest()
    }

    func processDied() {
        if phase != .done, operation >= 0 { world.processDied(operation) }
        (lease, raw, owner) = (nil, nil, nil)
        step &+= 1
        phase = .idle
        operation = -1
    }
}
