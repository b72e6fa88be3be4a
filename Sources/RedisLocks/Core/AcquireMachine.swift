/// Decides one attempt to acquire: counts votes, agrees on the fencing token, and ends as early as it is certain.
///
/// Pure: it is told what happened and answers what to do. One node is a quorum of one.
///
/// A node *agrees* when it was seen holding our owner value while its counter stood at exactly `top`. The lock is granted
/// when a majority agrees: two such majorities share a node, where one ownership came before the other with a strict raise
/// of the counter in between, so tokens are unique and increasing whatever clocks and messages do.
package struct AcquireMachine {
    package enum Action: Equatable {
        case wait
        /// Send CONFIRM for `top` to these nodes.
        case confirm(nodes: [Int], top: Int64)
        case granted(top: Int64, deadline: ContinuousClock.Instant)
        case refused(Refusal)
    }

    package enum Refusal: Equatable {
        /// Others hold it. `hint`: the shortest time after which a majority may be free, if known.
        case contended(hint: Duration?)
        case unreachable
        case misconfigured
        case fencingUnavailable
        /// Granted, but with too little validity left.
        case late
    }

    private enum Vote: Equatable {
        case pending
        case won(top: Int64)
        /// Won, and CONFIRM is on its way.
        case confirming
        case lost
    }

    package static let maximumConfirmRounds = 3

    private let terms: LockTerms
    private let majority: Int
    private var start: ContinuousClock.Instant
    private var votes: [Vote]
    private(set) package var outcomes: [NodeReport.Outcome?]
    private var failures: [NodeFailure.Effect?]
    /// Nodes where our owner value may stand: they need a RELEASE when the attempt fails.
    private var mayHold: [Bool]
    private var top: Int64 = 0
    /// How many times nodes were asked to confirm.
    package private(set) var rounds = 0
    private var isDecided = false

    package init(nodes: Int, terms: LockTerms, start: ContinuousClock.Instant) {
        self.terms = terms
        majority = nodes / 2 + 1
        self.start = start
        votes = Array(repeating: .pending, count: nodes)
        outcomes = Array(repeating: nil, count: nodes)
        failures = Array(repeating: nil, count: nodes)
        mayHold = Array(repeating: true, count: nodes)
    }

    /// The greatest counter that any node has answered; 1 before that.
    package var highest: Int64 {
        votes.reduce(1) { if case .won(let top) = $1 { max($0, top) } else { $0 } }
    }

    /// The nodes that get a RELEASE after a refusal. One that answered a plain no to the only request it ever got needs none.
    package var nodesToRelease: [Int] { mayHold.indices.filter { mayHold[$0] } }

    /// A single node was asked again with the same owner value: validity counts from this request, should it be answered.
    package mutating func resent(at now: ContinuousClock.Instant) {
        precondition(votes.count == 1, "Only a lone node is asked again: with several, a timed-out node is no vote.")
        start = now
        votes[0] = .pending
        outcomes[0] = nil
        failures[0] = nil
        wasAmbiguous = true
    }

    private var wasAmbiguous = false

    package mutating func acquireAnswered(
        by node: Int, with response: NodeResponse, at now: ContinuousClock.Instant
    ) -> Action {
        guard !isDecided, votes[node] == .pending else { return .wait }
        let outcome = response.acquireOutcome
        switch response {
        case .reply(.granted(let top)), .reply(.alreadyOurs(let top)):
            votes[node] = .won(top: top)
            outcomes[node] = outcome
        case .reply(.held), .reply(.quarantined): lose(node, outcome, mayHold: wasAmbiguous)
        case .reply:
            lose(node, outcome, mayHold: true)
            failures[node] = .ambiguous
        case .failure(let failure):
            lose(node, outcome, mayHold: wasAmbiguous || failure.effect == .ambiguous)
            failures[node] = failure.effect
        }
        return decide(at: now)
    }

    package mutating func confirmAnswered(
        by node: Int, top asked: Int64, with response: NodeResponse, at now: ContinuousClock.Instant
    ) -> Action {
        guard !isDecided, votes[node] == .confirming else { return .wait }
        switch response {
        case .reply(.confirmed): votes[node] = .won(top: asked)
        case .reply(.raised(let higher)): votes[node] = .won(top: higher)
        case .reply(.notOurs): lose(node, .refused("lost our grant before it was confirmed"), mayHold: false)
        case .reply:
            lose(node, .refused("answered something else than was asked"), mayHold: true)
            failures[node] = .ambiguous
        case .failure(let failure):
            lose(node, failure.outcome, mayHold: true)
            failures[node] = failure.effect
        }
        return decide(at: now)
    }

    private mutating func lose(_ node: Int, _ outcome: NodeReport.Outcome, mayHold: Bool) {
        votes[node] = .lost
        outcomes[node] = outcome
        self.mayHold[node] = mayHold
    }

    private mutating func decide(at now: ContinuousClock.Instant) -> Action {
        let possible = votes.count { $0 != .lost }
        guard possible >= majority else { return refuse(reasonForTooFewVotes()) }

        var won = 0
        var highest: Int64 = 0
        for case .won(let top) in votes {
            won += 1
            highest = max(highest, top)
        }
        let confirming = votes.count { $0 == .confirming }
        guard won + confirming >= majority else { return .wait }

        if Mutant.isOn(.maxOnly), won >= majority {
            top = highest
            return grant(at: now)
        }
        // While confirmations run, `top` stays what they were asked for.
        if confirming == 0 { top = highest }
        if votes.count(where: { $0 == .won(top: top) }) >= majority { return grant(at: now) }
        guard confirming == 0 else { return .wait }
        return confirm(at: now)
    }

    private mutating func grant(at now: ContinuousClock.Instant) -> Action {
        let deadline = terms.deadline(from: Mutant.isOn(.validityFromLastReply) ? now : start)
        guard deadline - now >= terms.minimumValidity else { return refuse(.late) }
        isDecided = true
        return .granted(top: top, deadline: deadline)
    }

    private mutating func confirm(at now: ContinuousClock.Instant) -> Action {
        guard rounds < Self.maximumConfirmRounds, terms.deadline(from: start) - now >= terms.minimumValidity else {
            return refuse(.fencingUnavailable)
        }
        rounds += 1
        var behind: [Int] = []
        for (node, vote) in votes.enumerated() {
            if case .won(let won) = vote, won < top {
                votes[node] = .confirming
                behind.append(node)
            }
        }
        return .confirm(nodes: behind, top: top)
    }

    private mutating func refuse(_ refusal: Refusal) -> Action {
        isDecided = true
        return .refused(refusal)
    }

    private func reasonForTooFewVotes() -> Refusal {
        let tolerable = votes.count - majority
        if failures.count(where: { $0 == .permanent }) > tolerable { return .misconfigured }
        let silent = zip(votes, outcomes).count { vote, outcome in
            if vote != .lost { return false }
            if case .heldByOther = outcome { return false }
            return true
        }
        if silent > tolerable { return .unreachable }
        return .contended(hint: shortestUsefulWait(tolerable: tolerable))
    }

    /// After how long enough held nodes may be free for a majority; `nil` when one of them never tells.
    private func shortestUsefulWait(tolerable: Int) -> Duration? {
        var waits: [Duration] = []
        for case .heldByOther(let remaining) in outcomes {
            waits.append(remaining ?? .seconds(1 << 40))
        }
        waits.sort()
        let mustFree = votes.count { $0 == .lost } - tolerable
        guard mustFree >= 1, mustFree <= waits.count, waits[mustFree - 1] < .seconds(1 << 40) else { return nil }
        return waits[mustFree - 1]
    }

    /// What each node did, for a log or a metric.
    package func reports(labels: [String]) -> [NodeReport] {
        zip(labels, outcomes).map { NodeReport(node: $0, outcome: $1 ?? .notNeeded) }
    }
}

extension NodeResponse {
    /// What an answer to ACQUIRE tells of the node.
    package var acquireOutcome: NodeReport.Outcome {
        switch self {
        case .reply(.granted), .reply(.alreadyOurs): .won
        case .reply(.held(let remaining)): .heldByOther(remaining: remaining.map { .milliseconds($0) })
        case .reply(.quarantined(let remaining)): .quarantined(remaining: .milliseconds(remaining))
        case .reply: .refused("answered something else than was asked")
        case .failure(let failure): failure.outcome
        }
    }
}
