/// Decides one attempt to extend a lease: a majority must say yes before the *old* deadline.
package struct ExtendMachine {
    package enum Action: Equatable {
        case wait
        case extended(deadline: ContinuousClock.Instant)
        /// A majority can no longer say yes because nodes said that the name is not ours: the lease is lost.
        case taken
        /// A majority can no longer say yes because clocks have jumped: what the deadline was calculated with does not hold.
        case clockStepped
        /// A majority can no longer be heard in this attempt; the lease stands until its deadline, and may be tried again.
        case failed
    }

    private enum Vote {
        case pending, yes, no, silent
        /// Said yes, but its clock jumped.
        case unsteady
    }

    private let terms: LockTerms
    private let start: ContinuousClock.Instant
    private let oldDeadline: ContinuousClock.Instant
    /// The latest deadline that ``RedisLocks/Configuration/maximumHold`` allows.
    private let latestDeadline: ContinuousClock.Instant?
    private let majority: Int
    private var votes: [Vote]
    private var isDecided = false

    package init(
        nodes: Int, terms: LockTerms, start: ContinuousClock.Instant, oldDeadline: ContinuousClock.Instant,
        latestDeadline: ContinuousClock.Instant?
    ) {
        self.terms = terms
        self.start = start
        self.oldDeadline = oldDeadline
        self.latestDeadline = latestDeadline
        majority = nodes / 2 + 1
        votes = Array(repeating: .pending, count: nodes)
    }

    /// Whether a majority has said yes in time.
    package private(set) var hasSucceeded = false
    /// Nodes that have said that the name is not ours there: the lease may be planted there anew once it is extended.
    package var missing: [Int] { votes.indices.filter { votes[$0] == .no } }

    /// - Parameter isSteady: whether the node's clock has run with ours since the extension before.
    package mutating func answered(
        by node: Int, with response: NodeResponse, isSteady: Bool = true, at now: ContinuousClock.Instant
    ) -> Action {
        guard votes[node] == .pending else { return .wait }
        switch response {
        case .reply(.extended): votes[node] = isSteady ? .yes : .unsteady
        case .reply(.notOurs): votes[node] = .no
        default: votes[node] = .silent
        }
        return isDecided ? .wait : decide(at: now)
    }

    private mutating func decide(at now: ContinuousClock.Instant) -> Action {
        let yes = votes.count { $0 == .yes }
        let no = votes.count { $0 == .no }
        let tolerable = votes.count - majority
        if yes >= majority {
            isDecided = true
            let deadline = min(terms.deadline(from: start), latestDeadline ?? terms.deadline(from: start))
            // Late answers do not count, although the nodes said yes: in between, the name may have been someone else's.
            let isInTime = now <= oldDeadline || Mutant.isOn(.lateExtendAccepted) || Mutant.isOn(.lostLeaseResurrected)
            hasSucceeded = isInTime && deadline > now
            return hasSucceeded ? .extended(deadline: deadline) : .failed
        }
        if no > tolerable {
            isDecided = true
            return .taken
        }
        let unsteady = votes.count { $0 == .unsteady }
        if unsteady > tolerable {
            isDecided = true
            return .clockStepped
        }
        if no + unsteady + votes.count(where: { $0 == .silent }) > tolerable {
            isDecided = true
            return .failed
        }
        return .wait
    }
}
