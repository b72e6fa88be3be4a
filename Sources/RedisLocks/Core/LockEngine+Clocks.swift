/// Which answers count, as far as that depends on the clocks of the nodes.
extension LockEngine {
    /// Notes whether a node answered, and what it said of its clock.
    func heard(_ response: NodeResponse, from index: Int) {
        guard nodes.indices.contains(index) else { return }
        absences[index] = response.failure?.outcome
        guard let reading = nodes[index].lastReading else { return }
        let step = clocks.observe(reading, of: index)
        if step > Self.stepWorthTelling { report(.clockStepped(node: labels[index], by: step)) }
    }

    private static var stepWorthTelling: Duration { .milliseconds(100) }

    /// A grant of a node whose clock is off is no vote. It may stand, and goes with the RELEASE of a failed attempt.
    func trusted(_ response: NodeResponse, from index: Int, in attempt: Attempt, _ terms: LockTerms) -> NodeResponse {
        switch response {
        case .reply(.granted), .reply(.alreadyOurs):
            let skew = clocks.skew(of: index) ?? clocks.step(of: index, beyond: terms.drift, at: now)
            guard let skew else { return response }
            return .failure(NodeFailure(.ambiguous, .clockSkewed(by: skew)))
        case .failure(let failure) where Mutant.isOn(.timeoutCountsAsVote) && failure.outcome == .timedOut:
            return .reply(.granted(top: attempt.machine.highest))
        default: return response
        }
    }
}

extension LockEngine {
    /// Whether a node's yes to an extension counts. When its clock and ours have come apart since the last extension by more
    /// than the drift that the lease allows for, the assumption on which its deadline rests does not hold there.
    func isSteady(_ index: Int, for lease: LeaseRecord) -> Bool {
        clocks.step(of: index, beyond: lease.terms.drift, since: lease.lastConfirmed) == nil
    }
}

extension ClockWatch {
    init(_ settings: EngineSettings, nodes: Int, origin: ContinuousClock.Instant) {
        self.init(
            nodes: nodes, maximumSkew: settings.maximumClockSkew, driftFactor: settings.driftFactor,
            memory: settings.maximumTTL * (1 + settings.driftFactor), origin: origin)
    }
}
