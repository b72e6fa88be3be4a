import Reactor

/// The connections of one client, and those who wait for them: the effects of ``PoolMachine``. Belongs to the Reactor.
final class Pool {
    /// One piece of work, from its place in the line to its answer. Names it for cancellation.
    final class Call {
        fileprivate enum State {
            case waiting(PoolMachine.WaiterID, TimerID?, (Result<PoolMachine.ConnectionID, DatabaseError>) -> Void)
            case running(Session)
            case done
        }

        fileprivate var state = State.done

        init() {}
    }

    private let configuration: ClientConfiguration
    private let reactor: Reactor
    private let resolver: Resolver
    private let onNotice: ((String) -> Void)?
    private var machine: PoolMachine
    private var sessions: [PoolMachine.ConnectionID: Session] = [:]
    private var waiting: [PoolMachine.WaiterID: Call] = [:]
    private var lastWaiter: UInt64 = 0
    private var ticker: (at: ContinuousClock.Instant, timer: TimerID)?
    private var onFinish: [() -> Void] = []
    private var isFinished = false

    init(
        configuration: ClientConfiguration, reactor: Reactor, lookup: @escaping Resolver.Lookup,
        onNotice: ((String) -> Void)?
    ) {
        self.configuration = configuration
        self.reactor = reactor
        self.onNotice = onNotice
        resolver = Resolver(reactor: reactor, lookup: lookup)
        machine = PoolMachine(limits: configuration.limits, generator: SystemRandomNumberGenerator())
    }

    var connectionCount: Int { machine.connectionCount }
    var idleCount: Int { machine.idleCount }
    var waiterCount: Int { machine.waiterCount }
    var lookupCount: Int { resolver.waiterCount }

    // MARK: Work

    /// Lends a connection to `completion`, which gives it back with ``release(_:)``.
    func acquire(
        _ call: Call, deadline: ContinuousClock.Instant,
        completion: @escaping (Result<PoolMachine.ConnectionID, DatabaseError>) -> Void
    ) {
        lastWaiter += 1
        let waiter = lastWaiter
        waiting[waiter] = call
        call.state = .waiting(waiter, nil, completion)
        apply(machine.acquire(waiter, at: reactor.now))
        guard case .waiting = call.state else { return }
        let timer = reactor.schedule(at: deadline) { [weak self] in self?.giveUp(waiter) }
        call.state = .waiting(waiter, timer, completion)
    }

    func release(_ id: PoolMachine.ConnectionID) {
        let isUsable = sessions[id]?.isReady ?? false
        apply(machine.release(id, isUsable: isUsable, at: reactor.now))
        scheduleTick(at: reactor.now + configuration.idleTime)
    }

    /// Runs a batch on a connection that is lent to the caller.
    func run(_ batch: Batch, on id: PoolMachine.ConnectionID, _ call: Call) {
        guard let session = sessions[id] else {
            return batch.completion(.failure(DatabaseError(.connectionLost, "The connection to PostgreSQL was lost.")))
        }
        call.state = .running(session)
        session.run(
            Batch(statements: batch.statements, mayCommit: batch.mayCommit, deadline: batch.deadline) {
                call.state = .done
                batch.completion($0)
            })
    }

    /// Runs a batch on any connection and gives that back: one call for what needs no transaction of several steps.
    func perform(
        _ statements: [Statement], mayCommit: Bool, timeout: Duration, _ call: Call,
        _ completion: @escaping (Result<[Rows], DatabaseError>) -> Void
    ) {
        acquire(call, deadline: reactor.now + configuration.acquireTimeout) { [self] result in
            switch result {
            case .failure(let error): completion(.failure(error))
            case .success(let id):
                // The time for the batch begins when it can.
                let batch = Batch(statements: statements, mayCommit: mayCommit, deadline: reactor.now + timeout) {
                    self.release(id)
                    completion($0)
                }
                run(batch, on: id, call)
            }
        }
    }

    /// Ends a call early. One that waits is told at once; one that runs when the server has given it up.
    func cancel(_ call: Call) {
        let error = DatabaseError(.cancelled, "The task was cancelled.")
        switch call.state {
        case .waiting(let waiter, let timer, let completion):
            guard machine.abandon(waiter) != nil else { return }
            end(waiter, call, timer)
            completion(.failure(error))
        case .running(let session): session.cancel(for: error)
        case .done: break
        }
    }

    private func giveUp(_ waiter: PoolMachine.WaiterID) {
        guard let call = waiting[waiter], case .waiting(_, _, let completion) = call.state,
            let error = machine.abandon(waiter)
        else { return }
        end(waiter, call, nil)
        completion(.failure(error))
    }

    private func end(_ waiter: PoolMachine.WaiterID, _ call: Call, _ timer: TimerID?) {
        if let timer { reactor.cancel(timer) }
        waiting[waiter] = nil
        call.state = .done
    }

    private func answer(_ waiter: PoolMachine.WaiterID, _ result: Result<PoolMachine.ConnectionID, DatabaseError>) {
        guard let call = waiting[waiter], case .waiting(_, let timer, let completion) = call.state else { return }
        end(waiter, call, timer)
        completion(result)
    }

    // MARK: Connections

    private func apply(_ actions: [PoolMachine.Action]) {
        for action in actions {
            switch action {
            case .open(let id): open(id)
            case .close(let id): sessions.removeValue(forKey: id)?.close()
            case .give(let id, let waiter): answer(waiter, .success(id))
            case .refuse(let waiter, let error): answer(waiter, .failure(error))
            case .tick(let instant): scheduleTick(at: instant)
            case .finished: finish()
            }
        }
    }

    private func open(_ id: PoolMachine.ConnectionID) {
        let deadline = reactor.now + configuration.connectTimeout
        let session = Session(
            reactor: reactor, location: configuration.options.location, setup: configuration.setup, onNotice: onNotice)
        session.onLoss = { [weak self] in
            guard let self else { return }
            self.apply(self.machine.lost(id, at: self.reactor.now))
        }
        sessions[id] = session
        let names = configuration.options.namesToResolve
        guard !names.isEmpty else { return connect(id, session, to: [:], deadline) }
        lookUp(names, until: deadline) { [weak self] result in
            switch result {
            case .failure(let error): self?.opened(id, .failure(error))
            case .success(let found): self?.connect(id, session, to: found, deadline)
            }
        }
    }

    private func connect(
        _ id: PoolMachine.ConnectionID, _ session: Session, to addresses: [String: [String]],
        _ deadline: ContinuousClock.Instant
    ) {
        let keywords = configuration.options.connectKeywords(resolved: addresses)
        session.open(keywords, deadline: deadline) { [weak self] in self?.opened(id, $0) }
    }

    /// Of several hosts one that is known is enough. A lookup that hangs is not waited for: it goes on, and answers whoever
    /// tries next.
    private func lookUp(
        _ names: [String], until deadline: ContinuousClock.Instant,
        _ completion: @escaping (Result<[String: [String]], DatabaseError>) -> Void
    ) {
        var question: Resolver.Question?
        let timer = reactor.schedule(at: deadline) { [resolver] in
            if let question { resolver.abandon(question) }
            completion(
                .failure(DatabaseError(.connectFailed, "The database's host name could not be looked up in time.")))
        }
        question = resolver.resolve(names) { [reactor] answer in
            reactor.cancel(timer)
            let found = answer.compactMapValues { try? $0.get() }
            guard found.isEmpty else { return completion(.success(found)) }
            let reasons = names.map { name in
                guard case .failure(let failure)? = answer[name] else { return name }
                return "\(name): \(failure.text)"
            }
            let text = "Could not find the database's address: \(reasons.joined(separator: "; "))."
            completion(.failure(DatabaseError(.connectFailed, text)))
        }
    }

    private func opened(_ id: PoolMachine.ConnectionID, _ result: Result<Void, DatabaseError>) {
        switch result {
        case .success: apply(machine.opened(id, at: reactor.now))
        case .failure(let error):
            sessions.removeValue(forKey: id)?.close()
            apply(machine.openFailed(id, error, at: reactor.now))
        }
    }

    private func scheduleTick(at instant: ContinuousClock.Instant) {
        guard !isFinished else { return }
        if let ticker {
            guard instant < ticker.at else { return }
            reactor.cancel(ticker.timer)
        }
        let timer = reactor.schedule(at: instant) { [weak self] in
            guard let self else { return }
            self.ticker = nil
            self.apply(self.machine.tick(at: self.reactor.now))
            if self.machine.idleCount > 0 { self.scheduleTick(at: self.reactor.now + self.configuration.idleTime) }
        }
        ticker = (instant, timer)
    }

    /// Opens the least number of connections.
    func start() {
        apply(machine.tick(at: reactor.now))
    }

    // MARK: The end

    /// Waits for what is under way.
    func close(_ completion: @escaping () -> Void) {
        guard !isFinished else { return completion() }
        onFinish.append(completion)
        apply(machine.close())
    }

    private func finish() {
        isFinished = true
        if let ticker { reactor.cancel(ticker.timer) }
        ticker = nil
        let waiters = onFinish
        onFinish = []
        for waiter in waiters { waiter() }
    }
}
