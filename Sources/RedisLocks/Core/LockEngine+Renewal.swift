/// Extending leases, and planting them anew on nodes that forgot them.
extension LockEngine {
    func extend(_ lease: LeaseRecord) {
        lease.isExtending = true
        let renewal = Renewal(lease, nodes: nodes.count, start: now)
        let request = NodeRequest.extend(
            names: lease.terms.names, owner: lease.owner, ttl: lease.terms.ttl.milliseconds, top: lease.top,
            counterExpiry: lease.terms.counterExpiry.milliseconds)
        var limit = min(now + lease.terms.nodeTimeout, lease.state.deadline)
        if Mutant.isOn(.lateExtendAccepted) { limit = now + lease.terms.nodeTimeout }
        for (index, node) in nodes.enumerated() {
            node.send(request, deadline: limit) { response in
                self.heard(response, from: index)
                self.extendAnswered(renewal, by: index, with: response)
            }
        }
    }

    private func extendAnswered(_ renewal: Renewal, by index: Int, with response: NodeResponse) {
        let lease = renewal.lease
        guard isLive(lease) else { return }
        if Mutant.isOn(.replantsCountInExtend), response == .reply(.notOurs) {
            return plant(lease, at: index) { self.extendAnswered(renewal, by: index, with: .reply(.extended)) }
        }
        renewal.responses[index] = response
        let action = renewal.machine.answered(
            by: index, with: response, isSteady: isSteady(index, for: lease), at: now)
        switch action {
        case .wait:
            // A node that was slow to say no.
            if renewal.machine.hasSucceeded, response == .reply(.notOurs) { plant(lease, at: index) }
        case .extended(let deadline):
            extended(renewal, to: deadline)
            for index in renewal.machine.missing where isLive(lease) { plant(lease, at: index) }
        case .taken: lose(lease, .taken)
        case .clockStepped: lose(lease, .clockStepped)
        case .failed: renewalFailed(renewal)
        }
    }

    private func extended(_ renewal: Renewal, to deadline: ContinuousClock.Instant) {
        let lease = renewal.lease
        let lag = renewal.start - lease.nextRenewal
        lease.isExtending = false
        guard lease.state.extend(to: deadline) else { return lose(lease, .expired) }
        lease.failedExtensions = 0
        lease.hasWarned = false
        lease.lastConfirmed = now
        lease.nextRenewal = now + jittered(lease.terms.renewalInterval)
        report(.renewed(names: lease.terms.nameStrings, lag: lag, took: now - renewal.start))
        arm(lease)
    }

    /// The lease stands until its deadline: try again while it does.
    private func renewalFailed(_ renewal: Renewal) {
        let lease = renewal.lease
        lease.isExtending = false
        lease.failedExtensions += 1
        lease.nextRenewal = now + BackOff.delay(failures: lease.failedExtensions, hint: nil, using: &generator)
        report(
            .renewalFailed(names: lease.terms.nameStrings, nodes: renewal.failures(labels: labels)))
        arm(lease)
    }

    // MARK: Planting anew

    /// Takes the names at a node that does not have them for us: it restarted, was silent when the lock was taken, or lost
    /// them. Without this, a lease that outlives its nodes' restarts would lose its majority one by one.
    ///
    /// It does not count for the extension in which the node was found without us: in between the name may have been
    /// someone else's there. From the next one on it does. The owner value is used again, which only this may do: behind it
    /// on the same connection goes whatever else we say about the lease.
    private func plant(_ lease: LeaseRecord, at index: Int, then completion: (() -> Void)? = nil) {
        guard nodes.indices.contains(index), lease.planting.insert(index).inserted else { return }
        let node = nodes[index]
        let request = AcquireRequest(lease.terms, owner: lease.owner, isDurable: node.isDurable)
        node.send(.acquire(request), deadline: now + lease.terms.nodeTimeout) { response in
            self.heard(response, from: index)
            lease.planting.remove(index)
            guard case .reply(let reply) = response, reply.isGrant else { return }
            guard self.isLive(lease) else {
                // The end of the lease may have overtaken this, as it may overtake an attempt.
                return self.releaseQuietly(
                    lease.terms.names, owner: lease.owner, at: CollectionOfOne(index), ttl: lease.terms.ttl)
            }
            self.report(.replanted(names: lease.terms.nameStrings, node: self.labels[index]))
            completion?()
        }
    }
}

/// One try at extending a lease. Belongs to the engine.
private final class Renewal {
    let lease: LeaseRecord
    let start: ContinuousClock.Instant
    var machine: ExtendMachine
    var responses: [NodeResponse?]

    init(_ lease: LeaseRecord, nodes: Int, start: ContinuousClock.Instant) {
        self.lease = lease
        self.start = start
        machine = ExtendMachine(
            nodes: nodes, terms: lease.terms, start: start, oldDeadline: lease.state.deadline,
            latestDeadline: lease.latestDeadline)
        responses = Array(repeating: nil, count: nodes)
    }

    /// What the nodes that failed said.
    func failures(labels: [String]) -> [NodeReport] {
        zip(labels, responses).map { label, response in
            switch response {
            case .failure(let failure): NodeReport(node: label, outcome: failure.outcome)
            case .reply(.extended): NodeReport(node: label, outcome: .won)
            case .reply: NodeReport(node: label, outcome: .heldByOther(remaining: nil))
            case nil: NodeReport(node: label, outcome: .notNeeded)
            }
        }
    }
}

extension NodeReply {
    var isGrant: Bool {
        switch self {
        case .granted, .alreadyOurs: true
        default: false
        }
    }
}
