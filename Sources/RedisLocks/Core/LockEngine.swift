import Reactor

/// The shell around the lock's state machines: sends what they decide, on one executor.
///
/// Everything a lock does between the caller's request and the answer happens here, on the Reactor: fan-out, replies,
/// timers, renewal. A caller crosses threads once each way. Nothing of the user's runs here.
package actor LockEngine {
    nonisolated let runtime: LockRuntime
    package nonisolated var unownedExecutor: UnownedSerialExecutor { runtime.reactor.asUnownedSerialExecutor() }

    let settings: EngineSettings
    /// Tells the world outside what happened. Called on the Reactor: must only pass it on.
    let report: @Sendable (EngineEvent) -> Void

    var nodes: [any LockNode] = []
    var labels: [String] = []
    var readiness = Readiness.unknown
    /// No new requests are taken.
    var isClosing = false
    /// The connections are gone.
    var isClosed = false
    var closeWaiters: [CheckedContinuation<Void, Never>] = []
    private var isWanted = false
    var generator: any RandomNumberGenerator
    /// What the nodes' answers have told of their clocks.
    var clocks: ClockWatch
    /// Why a node did not answer the last time it was asked; `nil` when it did.
    var absences: [NodeReport.Outcome?] = []

    var lastID: WaitLine.ID = 0
    var line = WaitLine()
    var waiters: [WaitLine.ID: Waiter] = [:]
    var leases: [WaitLine.ID: LeaseRecord] = [:]
    /// Goes off when the last lease with a body is released during shutdown.
    var onLeasesGone: (() -> Void)?

    /// Whether the nodes have had the time of a connection attempt to get ready: the first request may take longer.
    enum Readiness {
        case unknown
        case connecting(waiting: [() -> Void])
        case known
    }

    package init(
        runtime: LockRuntime, settings: EngineSettings, report: @escaping @Sendable (EngineEvent) -> Void
    ) {
        self.runtime = runtime
        self.settings = settings
        self.report = report
        generator = runtime.makeGenerator()
        clocks = ClockWatch(settings, nodes: 0, origin: runtime.timers.now)
    }

    var now: ContinuousClock.Instant { runtime.timers.now }

    package func nextID() -> WaitLine.ID {
        lastID += 1
        return lastID
    }

    // MARK: Requests from outside

    /// Waits for the names and takes them.
    package func acquire(_ terms: LockTerms, wait: Duration, hasBody: Bool) async -> AcquireResult {
        if Task.isCancelled { return .failed(.cancelledWait(terms.nameStrings)) }
        let id = nextID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                request(id, terms, wait: wait, hasBody: hasBody) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            // Runs behind the job that admits the waiter, which does not suspend before it has done so.
            runtime.reactor.execute {
                self.assumeIsolated { $0.cancelWaiter(id) }
            }
        }
    }

    /// The same for a caller on the engine's executor, such as a simulation. `completion` is called exactly once, possibly
    /// before this returns.
    package func request(
        _ id: WaitLine.ID, _ terms: LockTerms, wait: Duration, hasBody: Bool,
        completion: @escaping (AcquireResult) -> Void
    ) {
        if isClosing { return completion(.failed(.closedClient(terms.nameStrings))) }
        openNodes()
        let waiter = Waiter(
            id: id, terms: terms, started: now, budgetEnd: now + wait, hasBody: hasBody, completion: completion)
        admit(waiter, mayQueue: wait > .zero)
    }

    /// Gives the names back. Not cancellable, bounded in time.
    package func release(_ id: WaitLine.ID) async -> ReleaseResult {
        await withCheckedContinuation { continuation in
            finish(id) { continuation.resume(returning: $0) }
        }
    }

    /// The same for a caller on the engine's executor.
    package func finish(_ id: WaitLine.ID, completion: @escaping (ReleaseResult) -> Void) {
        guard let lease = leases.removeValue(forKey: id) else { return completion(.notHeld) }
        end(lease, then: completion)
    }

    /// The holder threw its lease away: release it, and say so, for that is a mistake in the program.
    package func abandon(_ id: WaitLine.ID) {
        guard let lease = leases.removeValue(forKey: id) else { return }
        if lease.state.status(at: now) == .held { report(.leaseAbandoned(names: lease.terms.nameStrings)) }
        end(lease) { _ in }
    }

    /// Connects and probes every node. Answers what each of them said.
    package func connect() async -> [NodeResponse] {
        if isClosing { return [] }
        let answers = await ask(.ping, timeout: settings.connectTimeout)
        if case .unknown = readiness { readiness = .known }
        return answers
    }

    /// Asks every node, and waits for all of them.
    package func ask(_ request: NodeRequest, timeout: Duration) async -> [NodeResponse] {
        if isClosing { return [] }
        openNodes()
        let answers = makeAnswers()
        return await withCheckedContinuation { continuation in
            for (index, node) in nodes.enumerated() {
                node.send(request, deadline: now + timeout) { response in
                    answers.add(response, from: index)
                    if answers.isComplete { continuation.resume(returning: answers.responses) }
                }
            }
        }
    }

    /// Asks every node that can be reached, and waits for all of them. The others answer with why they cannot.
    package func askReachable(
        _ request: NodeRequest, within limit: Duration, connectingWithin connectLimit: Duration
    ) async -> [NodeResponse] {
        if isClosing { return [] }
        openNodes()
        let answers = makeAnswers()
        return await withCheckedContinuation { continuation in
            let gather = { (response: NodeResponse, index: Int) in
                answers.add(response, from: index)
                if answers.isComplete { continuation.resume(returning: answers.responses) }
            }
            for (index, node) in nodes.enumerated() {
                node.send(.ping, deadline: now + connectLimit) { pong in
                    guard case .reply = pong else { return gather(pong, index) }
                    node.send(request, deadline: self.now + limit) { gather($0, index) }
                }
            }
        }
    }

    /// The nodes' addresses, without credentials.
    package func nodeLabels() -> [String] {
        if !isClosing { openNodes() }
        return labels
    }

    // MARK: Nodes

    func openNodes() {
        guard nodes.isEmpty, !isClosing else { return }
        nodes = runtime.makeNodes()
        labels = nodes.map(\.label)
        clocks = ClockWatch(settings, nodes: nodes.count, origin: now)
        absences = Array(repeating: nil, count: nodes.count)
        for node in nodes {
            let label = node.label
            node.onEvent = { [report] event in report(.node(label, event)) }
        }
    }

    /// Runs `action` when the nodes are connected or have had their time for it: at once, but for the very first request.
    func whenReady(_ action: @escaping () -> Void) {
        switch readiness {
        case .known: action()
        case .connecting(var waiting):
            // Not copied for each of many.
            readiness = .unknown
            waiting.append(action)
            readiness = .connecting(waiting: waiting)
        case .unknown:
            readiness = .connecting(waiting: [action])
            let majority = nodes.count / 2 + 1
            let answers = makeAnswers()
            for (index, node) in nodes.enumerated() {
                node.send(.ping, deadline: now + settings.connectTimeout) { response in
                    self.heard(response, from: index)
                    answers.add(response, from: index)
                    let isEnough = answers.count(of: .reply(.pong)) >= majority || answers.isComplete
                    if isEnough { self.becomeReady() }
                }
            }
        }
    }

    /// Made here, so that the compiler knows it to be the engine's.
    func makeAnswers() -> Answers {
        Answers(count: nodes.count)
    }

    private func becomeReady() {
        guard case .connecting(let waiting) = readiness else { return }
        readiness = .known
        for action in waiting { action() }
    }

    /// Connections are kept up while somebody depends on them, and left alone otherwise.
    func updateDemand() {
        let isWanted = !leases.isEmpty || !waiters.isEmpty
        guard isWanted != self.isWanted else { return }
        self.isWanted = isWanted
        for node in nodes { node.setWanted(isWanted) }
    }

    /// Sends and forgets: for cleaning up behind a failed attempt or a lost lease.
    func releaseQuietly(_ names: [LockName], owner: OwnerID, at indices: some Sequence<Int>, ttl: Duration) {
        for index in indices where nodes.indices.contains(index) {
            // After a ttl the key is gone by itself.
            nodes[index].send(.release(names: names, owner: owner), deadline: now + ttl) { _ in }
        }
    }
}

/// Gathers one answer from each node.
final class Answers {
    private var slots: [NodeResponse?]
    var all: [NodeResponse?] { slots }

    init(count: Int) {
        slots = Array(repeating: nil, count: count)
    }

    func add(_ response: NodeResponse, from index: Int) { slots[index] = response }
    var isComplete: Bool { slots.allSatisfy { $0 != nil } }
    var responses: [NodeResponse] { slots.compactMap { $0 } }
    func count(of response: NodeResponse) -> Int { slots.count { $0 == response } }
}
