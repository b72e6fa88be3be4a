extension ReservationService {
    /// Asks for a reservation without waiting for its turn: where the strategy has a line, the answer is a ticket.
    ///
    /// - Parameters: as for ``reserve(_:for:ttl:key:)``; the key is needed, for the ticket is found again by it.
    /// - Throws: as ``reserve(_:for:ttl:key:)``, and ``ReservationError/Code/queueFull(waiting:)`` and
    ///   ``ReservationError/Code/queueLimit(limit:current:)``, and ``ReservationError/Code/lineClosed``.
    public func submit(
        _ lines: [Line], for holder: String, ttl: Duration? = nil, key: String
    ) async throws(ReservationError) -> Submission {
        let claim = try claim(lines, for: holder, ttl: ttl, key: key)
        guard let strategy = strategy(for: claim.cart).implementation as? QueuedStrategy else {
            return .reserved(try await reserve(claim))
        }
        return try await enter(claim, strategy.line, until: nil).submission
    }

    /// What a ticket has come to. Who asks counts as present: see ``WaitingLine/Configuration/silence``.
    ///
    /// - Throws: ``ReservationError/Code/notFound`` for a request that was never in a line, or whose answer was forgotten.
    public func ticket(_ key: String, for holder: String) async throws(ReservationError) -> TicketStatus {
        try check(holder: holder, key: key)
        let lines = waitingLines
        let name = RequestName(caller: holder, key: key)
        let found = try await asking("ticket") { () async throws(StoreError) in
            try await lines.first?.store.requests([name]).first.flatMap { $0 }
        }
        guard let found else { throw .notFound(attempts: 1) }
        guard found.state == .waiting, let line = lines.first(where: { $0.hasPartition(found.partition) }) else {
            do throws(ReservationError) {
                return .decided(.success(try await reservation(from: found.state)))
            } catch {
                return .decided(.failure(error))
            }
        }
        await line.touch([name], in: found.partition)
        return .waiting(ticket(found.partition, found.number, name, line))
    }

    /// Leaves the line, if it is not too late.
    ///
    /// - Returns: the reservation that was made before; `nil` when the place was given up, now or before.
    /// - Throws: ``ReservationError/Code/notFound``; why there is no reservation, when that was decided before.
    @discardableResult
    public func withdraw(_ key: String, for holder: String) async throws(ReservationError) -> Reservation? {
        try check(holder: holder, key: key)
        let lines = waitingLines
        let name = RequestName(caller: holder, key: key)
        let found = try await asking("withdraw") { () async throws(StoreError) in
            try await lines.first?.store.withdraw(name)
        }
        guard let found else { throw .notFound(attempts: 1) }
        // Whoever waits for it in this process need not wait for its number to come.
        for line in lines where line.hasPartition(found.partition) {
            line.board.settle(name, in: found.partition, number: found.number, .decided(found.state))
        }
        if case .withdrawn = found.state { return nil }
        return try await reservation(from: found.state)
    }

    // MARK: Within

    /// Waits for its turn. Whoever stops waiting gives up his place.
    func reserveInLine(_ claim: Claim, _ line: WaitingLine) async throws(ReservationError) -> Reservation {
        let start = ContinuousClock.now
        let strategy = Strategy.queued(line)
        do throws(ReservationError) {
            let entered = try await enter(claim.keyed, line, until: .now + line.configuration.maximumWait)
            switch entered.submission {
            case .reserved(let reservation):
                observer.replayed("reserve", by: strategy, since: start)
                return reservation
            case .queued(let ticket):
                let reservation = try await wait(on: entered.news, ticket)
                observer.reserved(reservation, by: strategy, attempts: 1, since: start)
                return reservation
            }
        } catch {
            observer.refused("reserve", error, by: strategy, since: start)
            throw error
        }
    }

    private func wait(
        on news: AsyncStream<TicketNews>?, _ ticket: Ticket
    ) async throws(ReservationError) -> Reservation {
        do throws(ReservationError) {
            guard let news else { return try await ticket.reservation() }
            if let reservation = try await ticket.decision(on: news) { return reservation }
        } catch {
            // Unless he asked twice, and still waits for the other answer.
            if error.code == .cancelled, ticket.line.board.observers(of: ticket.name) == 0 {
                // In a task of its own: this one is cancelled. Best effort; the ticket's turn passes in any case.
                Task { _ = try? await ticket.withdraw() }
            }
            throw error
        }
        // He has waited for longer than the line lets anybody.
        if let reservation = try await withdrawLate(ticket) { return reservation }
        throw .busy(attempts: 1, strategy: QueuedStrategy.name)
    }

    private func withdrawLate(_ ticket: Ticket) async throws(ReservationError) -> Reservation? {
        // Somebody else waits for it still.
        if ticket.line.board.observers(of: ticket.name) > 0 { return nil }
        do throws(ReservationError) {
            return try await ticket.withdraw()
        } catch {
            guard error.code == .unavailable || error.code.name == "busy" else { throw error }
            throw ReservationError(
                .outcomeUnknown, "The request waits for too long, and could not be taken out of its line.",
                retryAfter: RetryAdvice.busy(attempts: 1))
        }
    }

    private func enter(
        _ claim: Claim, _ line: WaitingLine, until limit: ContinuousClock.Instant?
    ) async throws(ReservationError) -> (submission: Submission, news: AsyncStream<TicketNews>?) {
        guard line.isRunning else { throw .lineClosed(hasEnded: line.board.isClosed) }
        let entered: (partition: Int, IntakeOutcome, AsyncStream<TicketNews>?)
        do throws(StoreError) {
            entered = try await line.enter(claim, until: limit)
        } catch {
            throw ReservationError(error, attempts: 1, strategy: QueuedStrategy.name)
        }
        switch entered.1 {
        case .waiting(let number):
            let name = RequestName(caller: claim.holder, key: claim.request?.key ?? "")
            var ticket = ticket(entered.partition, number, name, line)
            ticket.wanted = TicketBoard.Wanted(claim)
            return (.queued(ticket), entered.2)
        case .decided(let outcome): return (.reserved(try await reservation(from: .decided(outcome))), nil)
        case .key(let problem): throw .keyProblem(problem, attempts: 1)
        case .full(let waiting):
            throw .queueFull(waiting: waiting, serviceTime: line.board.serviceTime(in: entered.partition))
        case .callerLimit(let current):
            throw .queueLimit(limit: line.configuration.maximumWaitingPerCaller, current: current)
        }
    }

    private func ticket(_ partition: Int, _ number: Int64, _ name: RequestName, _ line: WaitingLine) -> Ticket {
        Ticket(
            holder: name.caller, key: name.key, standing: line.board.standing(of: number, in: partition),
            partition: partition, number: number, line: line, service: self)
    }

    private var waitingLines: [WaitingLine] {
        ([configuration.strategy] + configuration.strategies.values).compactMap {
            ($0.implementation as? QueuedStrategy)?.line
        }
    }

    /// What a decided request says.
    func reservation(from state: QueuedRequest.State) async throws(ReservationError) -> Reservation {
        switch state {
        case .decided(.held(let reservation)), .decided(.replayed(let reservation)): return reservation
        case .decided(.short(let shortages)):
            throw .shortage(shortages, alternatives: await alternatives(to: shortages), attempts: 1)
        case .decided(.holdLimit(let current)): throw .holdLimit(configuration.limits.liveHoldsPerHolder, current, 1)
        case .decided(.key(let problem)): throw .keyProblem(problem, attempts: 1)
        case .decided(.versionConflict), .decided(.staleFence), .waiting:
            throw .busy(attempts: 1, strategy: QueuedStrategy.name)
        case .withdrawn: throw .withdrawn
        case .skipped: throw .turnMissed
        case .failed:
            throw ReservationError(.failed, "The request could not be decided; the log of the service says why.")
        }
    }
}
