import Reactor

typealias TimerReference = TimerID

/// Standing in line, trying, backing off, giving up.
extension LockEngine {
    func admit(_ waiter: Waiter, mayQueue: Bool) {
        guard waiters.count < settings.maximumWaiters else {
            return waiter.completion(.failed(.tooManyWaiters(waiter.terms.nameStrings, settings.maximumWaiters)))
        }
        guard mayQueue || line.isFree(waiter.terms.names) else {
            return waiter.completion(.failed(.stillHeld(waiter, at: now, heldHere: true)))
        }
        waiters[waiter.id] = waiter
        updateDemand()
        if line.join(waiter.id, names: waiter.terms.names) {
            whenReady { self.attempt(waiter) }
        } else {
            schedule(waiter, at: waiter.budgetEnd) { self.giveUp(waiter) }
        }
    }

    /// Lets those try who are first in line now.
    func advance(_ ids: [WaitLine.ID]) {
        // Those who wait are about to be turned away as well: nothing is asked for them.
        guard !isClosing else { return }
        for id in ids {
            guard let waiter = waiters[id] else { continue }
            unschedule(waiter)
            whenReady { self.attempt(waiter) }
        }
    }

    package func cancelWaiter(_ id: WaitLine.ID) {
        guard let waiter = waiters[id] else { return }
        fail(waiter, .cancelledWait(waiter.terms.nameStrings))
    }

    /// The budget is spent.
    func giveUp(_ waiter: Waiter) {
        waiter.noteAbsences(absences)
        switch waiter.refusal {
        case .unreachable: fail(waiter, .unreachable(waiter, at: now))
        case .late: fail(waiter, .late(waiter))
        case .fencingUnavailable: fail(waiter, .noFencing(waiter))
        case .misconfigured: fail(waiter, .refusedByNodes(waiter))
        case .contended where waiter.lacksMajority: fail(waiter, .unreachable(waiter, at: now))
        case .contended: fail(waiter, .stillHeld(waiter, at: now, heldHere: false))
        case nil:
            // It never got to ask; whoever asks in its stead knows whether it is the lock that is not to be had, or the nodes.
            if let head = headThatReachesNobody(before: waiter) {
                waiter.reports = head.reports
                fail(waiter, .unreachable(waiter, at: now))
            } else {
                fail(waiter, .stillHeld(waiter, at: now, heldHere: true))
            }
        }
    }

    private func headThatReachesNobody(before waiter: Waiter) -> Waiter? {
        waiter.terms.names.lazy.compactMap { self.line.first(for: $0) }.compactMap { self.waiters[$0] }
            .first { $0.refusal == .unreachable }
    }

    /// Answers the waiter, and cleans up behind an attempt that is under way.
    func fail(_ waiter: Waiter, _ error: LockError) {
        guard waiters.removeValue(forKey: waiter.id) != nil else { return }
        unschedule(waiter)
        if let attempt = waiter.attempt { abandon(attempt, of: waiter) }
        waiter.attempt = nil
        let next = line.leave(waiter.id)
        // What the last head learnt holds until the next one knows better.
        if waiter.refusal == .unreachable {
            for id in next { waiters[id]?.inherit(waiter) }
        }
        advance(next)
        updateDemand()
        waiter.completion(.failed(error))
    }

    // MARK: Attempts

    func attempt(_ waiter: Waiter) {
        guard waiters[waiter.id] != nil, waiter.attempt == nil else { return }
        waiter.attempts += 1
        let terms = waiter.terms
        let request = AcquireRequest(terms, owner: OwnerID(using: &generator))
        let machine = AcquireMachine(nodes: nodes.count, terms: terms, start: now)
        let attempt = Attempt(request: request, machine: machine, now: now, nodes: nodes.count)
        waiter.attempt = attempt
        for index in nodes.indices { send(attempt, of: waiter, to: index) }
    }

    private func send(_ attempt: Attempt, of waiter: Waiter, to index: Int) {
        nodes[index].send(
            .acquire(attempt.request(to: nodes[index])), deadline: now + waiter.terms.nodeTimeout
        ) { response in
            self.heard(response, from: index)
            self.acquireAnswered(attempt, of: waiter, by: index, with: response)
        }
    }

    private func acquireAnswered(_ attempt: Attempt, of waiter: Waiter, by index: Int, with response: NodeResponse) {
        if waiters[waiter.id] === waiter { waiter.note(response, of: index, labels: labels) }
        guard !attempt.isAbandoned else { return releaseLateGrant(of: attempt, by: index, response, waiter.terms) }
        attempt.latencies[index] = now - attempt.sent
        if retriesAlone(attempt, of: waiter, after: response) { return }
        let vote = trusted(response, from: index, in: attempt, waiter.terms)
        waiter.note(vote, of: index, labels: labels)
        perform(attempt.machine.acquireAnswered(by: index, with: vote, at: now), for: attempt, of: waiter)
    }

    /// The RELEASE of an abandoned attempt may have overtaken its ACQUIRE: a server that does not know the script is sent it
    /// again, behind whatever followed. To release once more what was released in order does no harm.
    private func releaseLateGrant(
        of attempt: Attempt, by index: Int, _ response: NodeResponse, _ terms: LockTerms
    ) {
        switch response {
        case .reply(.granted), .reply(.alreadyOurs):
            releaseQuietly(terms.names, owner: attempt.owner, at: CollectionOfOne(index), ttl: terms.ttl)
        default: break
        }
    }

    /// A lone node whose answer got lost is asked again with the same owner value: "already ours" is then the answer.
    ///
    /// At least once, and until the budget ends or the ttl has passed since the first request.
    private func retriesAlone(_ attempt: Attempt, of waiter: Waiter, after response: NodeResponse) -> Bool {
        guard nodes.count == 1, case .failure(let failure) = response else { return false }
        let isUncertain = failure.effect == .ambiguous || (attempt.retries > 0 && failure.effect == .notApplied)
        guard isUncertain else { return false }
        let end = min(waiter.budgetEnd, attempt.firstSend + waiter.terms.ttl)
        guard attempt.retries == 0 || now < end else { return false }
        attempt.retries += 1
        if attempt.retries == 1 {
            resend(attempt, of: waiter)
        } else {
            let delay = BackOff.delay(failures: attempt.retries, hint: nil, using: &generator)
            schedule(waiter, at: min(now + delay, max(end, now))) { self.resend(attempt, of: waiter) }
        }
        return true
    }

    private func resend(_ attempt: Attempt, of waiter: Waiter) {
        guard !attempt.isAbandoned else { return }
        attempt.machine.resent(at: now)
        attempt.sent = now
        send(attempt, of: waiter, to: 0)
    }

    private func perform(_ action: AcquireMachine.Action, for attempt: Attempt, of waiter: Waiter) {
        switch action {
        case .wait: break
        case .confirm(let indices, let top):
            for index in indices {
                let request = NodeRequest.confirm(
                    names: waiter.terms.names, owner: attempt.owner, top: top,
                    counterExpiry: waiter.terms.counterExpiry.milliseconds)
                nodes[index].send(request, deadline: now + waiter.terms.nodeTimeout) { response in
                    guard !attempt.isAbandoned else { return }
                    let action = attempt.machine.confirmAnswered(by: index, top: top, with: response, at: self.now)
                    self.perform(action, for: attempt, of: waiter)
                }
            }
        case .granted(let top, let deadline): grant(waiter, attempt, top: top, deadline: deadline)
        case .refused(let refusal): refuse(waiter, attempt, refusal)
        }
    }

    private func grant(_ waiter: Waiter, _ attempt: Attempt, top: Int64, deadline: ContinuousClock.Instant) {
        waiters[waiter.id] = nil
        unschedule(waiter)
        let timings = zip(attempt.machine.reports(labels: labels), attempt.latencies)
            .map { NodeTiming(report: $0, latency: $1) }
        let latestDeadline = waiter.terms.maximumHold.map { attempt.sent + $0 }
        let state = LeaseState(
            names: waiter.terms.names, token: top, deadline: deadline, latestDeadline: latestDeadline)
        let lease = LeaseRecord(
            id: waiter.id, terms: waiter.terms, owner: attempt.owner, top: top, state: state, hasBody: waiter.hasBody,
            latestDeadline: latestDeadline,
            nextRenewal: attempt.sent + jittered(waiter.terms.renewalInterval), confirmed: now)
        keep(lease)
        waiter.completion(
            .granted(
                Grant(
                    id: waiter.id, state: state, attempts: waiter.attempts, waited: now - waiter.started,
                    confirmRounds: attempt.machine.rounds, nodes: timings)))
    }

    private func refuse(_ waiter: Waiter, _ attempt: Attempt, _ refusal: AcquireMachine.Refusal) {
        abandon(attempt, of: waiter)
        waiter.attempt = nil
        // An attempt may be decided before the last of those has answered that make it hopeless.
        waiter.refusal = waiter.refusing.count > (nodes.count - 1) / 2 ? .misconfigured : refusal
        // What came of a confirmation, besides the answers to ACQUIRE, which were noted as they came.
        for (index, outcome) in attempt.machine.outcomes.enumerated() {
            if let outcome { waiter.note(outcome, of: index, labels: labels) }
        }
        if waiter.refusal == .misconfigured { return giveUp(waiter) }
        guard now < waiter.budgetEnd else { return giveUp(waiter) }
        var hint: Duration?
        if case .contended(let known) = refusal { hint = known }
        let delay = BackOff.delay(failures: waiter.attempts, hint: hint, using: &generator)
        schedule(waiter, at: min(now + delay, waiter.budgetEnd)) { self.attempt(waiter) }
    }

    /// Forgets the attempt. RELEASE goes behind its ACQUIRE on the same connection, so nothing of it stays.
    private func abandon(_ attempt: Attempt, of waiter: Waiter) {
        attempt.isAbandoned = true
        releaseQuietly(
            waiter.terms.names, owner: attempt.owner, at: attempt.machine.nodesToRelease, ttl: waiter.terms.ttl)
    }

    // MARK: Timers

    /// A waiter has one timer: its budget while it stands in line, its next try otherwise.
    private func schedule(_ waiter: Waiter, at deadline: ContinuousClock.Instant, _ action: @escaping () -> Void) {
        unschedule(waiter)
        waiter.timer = runtime.timers.schedule(at: deadline) {
            waiter.timer = nil
            action()
        }
    }

    private func unschedule(_ waiter: Waiter) {
        if let timer = waiter.timer { runtime.timers.cancel(timer) }
        waiter.timer = nil
    }

    /// A tenth more or less, so that a fleet that started together does not renew together.
    func jittered(_ duration: Duration) -> Duration {
        duration * Double.random(in: 0.9...1.1, using: &generator)
    }
}
