/// What the engine needs to know besides the terms of each lock.
package struct EngineSettings: Sendable {
    package var connectTimeout: Duration
    package var maximumWaiters: Int
    package var shutdownGrace: Duration
    package var maximumClockSkew: Duration
    package var driftFactor: Double
    /// The longest that a lease granted by anybody may live.
    package var maximumTTL: Duration

    package init(_ configuration: RedisLocks.Configuration) {
        connectTimeout = configuration.connectTimeout
        maximumWaiters = configuration.maximumWaiters
        shutdownGrace = configuration.shutdownGrace
        maximumClockSkew = configuration.maximumClockSkew
        driftFactor = configuration.driftFactor
        maximumTTL = configuration.maximumTTL
    }
}

package enum AcquireResult: Sendable {
    case granted(Grant)
    case failed(LockError)
}

/// A lock that was taken.
package struct Grant: Sendable {
    package let id: UInt64
    package let state: LeaseState
    package let attempts: Int
    package let waited: Duration
    /// How many rounds of CONFIRM it took: none where a majority agreed by itself.
    package let confirmRounds: Int
    package let nodes: [NodeTiming]
}

/// How one node did in the attempt that succeeded: for metrics.
package struct NodeTiming: Sendable {
    package let report: NodeReport
    package let latency: Duration?
}

package enum ReleaseResult: Sendable, Equatable {
    case released
    /// It was released before.
    case notHeld
    /// It had been lost before the release.
    case lost(LeaseLossReason)
    /// No answer in time: the names expire by themselves.
    case unknown([NodeReport])
}

/// What happens on the engine's own account, for logs and metrics.
package enum EngineEvent: Sendable {
    case node(String, NodeEvent)
    /// `lag`: how late the renewal was sent, compared with its plan.
    case renewed(names: [String], lag: Duration, took: Duration)
    case renewalFailed(names: [String], nodes: [NodeReport])
    case leaseLost(names: [String], reason: LeaseLossReason)
    case leaseAbandoned(names: [String])
    /// A node's clock jumped, or ours did.
    case clockStepped(node: String, by: Duration)
    /// A node that had forgotten a lease was given it anew.
    case replanted(names: [String], node: String)
}

/// A task that waits for names, from its request until its answer. Belongs to the engine.
final class Waiter {
    let id: WaitLine.ID
    let terms: LockTerms
    let started: ContinuousClock.Instant
    let budgetEnd: ContinuousClock.Instant
    let hasBody: Bool
    /// Called exactly once: by whoever takes the waiter out of the engine's table, or refuses to put it there.
    let completion: (AcquireResult) -> Void
    var attempts = 0
    var attempt: Attempt?
    var timer: TimerReference?
    /// What the nodes said last, also those that answered when the attempt had been decided: for the error when time runs
    /// out.
    var reports: [NodeReport] = []
    var refusal: AcquireMachine.Refusal?

    init(
        id: WaitLine.ID, terms: LockTerms, started: ContinuousClock.Instant, budgetEnd: ContinuousClock.Instant,
        hasBody: Bool, completion: @escaping (AcquireResult) -> Void
    ) {
        self.id = id
        self.terms = terms
        self.started = started
        self.budgetEnd = budgetEnd
        self.hasBody = hasBody
        self.completion = completion
    }

    /// Notes an answer, late or in time.
    func note(_ outcome: NodeReport.Outcome, of index: Int, labels: [String]) {
        if reports.isEmpty { reports = labels.map { NodeReport(node: $0, outcome: .notNeeded) } }
        reports[index] = NodeReport(node: labels[index], outcome: outcome)
    }

    /// Fills in why nodes are away that were not needed for the last decision.
    func noteAbsences(_ absences: [NodeReport.Outcome?]) {
        guard reports.count == absences.count else { return }
        for (index, absence) in absences.enumerated() where reports[index].outcome == .notNeeded {
            if let absence { reports[index] = NodeReport(node: reports[index].node, outcome: absence) }
        }
    }

    /// Whether so many nodes cannot vote that whoever holds the names is not what stands in the way.
    var lacksMajority: Bool {
        let absent = reports.count { report in
            switch report.outcome {
            case .won, .heldByOther, .notNeeded: false
            case .quarantined, .clockSkewed, .refused, .timedOut, .unreachable: true
            }
        }
        return absent > (reports.count - 1) / 2
    }

    func inherit(_ predecessor: Waiter) {
        refusal = predecessor.refusal
        reports = predecessor.reports
    }
}

/// One try at taking the names, with an owner value of its own. Belongs to the engine.
final class Attempt {
    let owner: OwnerID
    let request: AcquireRequest
    let firstSend: ContinuousClock.Instant
    var machine: AcquireMachine
    var sent: ContinuousClock.Instant
    var latencies: [Duration?]
    var retries = 0
    /// The waiter gave up: replies mean nothing any more.
    var isAbandoned = false

    init(request: AcquireRequest, machine: AcquireMachine, now: ContinuousClock.Instant, nodes: Int) {
        owner = request.owner
        self.request = request
        self.machine = machine
        firstSend = now
        sent = now
        latencies = Array(repeating: nil, count: nodes)
    }

    func request(to node: any LockNode) -> AcquireRequest {
        var request = request
        request.isDurable = node.isDurable
        return request
    }
}

/// A lease as the engine keeps it. Belongs to the engine.
final class LeaseRecord {
    let id: WaitLine.ID
    let terms: LockTerms
    let owner: OwnerID
    let top: Int64
    let state: LeaseState
    let hasBody: Bool
    let latestDeadline: ContinuousClock.Instant?
    var nextRenewal: ContinuousClock.Instant
    /// When the present deadline was decided upon.
    var lastConfirmed: ContinuousClock.Instant
    var isExtending = false
    var failedExtensions = 0
    /// Nodes on which the lease is being planted anew.
    var planting: Set<Int> = []
    var hasWarned = false
    var timer: TimerReference?

    init(
        id: WaitLine.ID, terms: LockTerms, owner: OwnerID, top: Int64, state: LeaseState, hasBody: Bool,
        latestDeadline: ContinuousClock.Instant?, nextRenewal: ContinuousClock.Instant,
        confirmed: ContinuousClock.Instant
    ) {
        self.id = id
        self.terms = terms
        self.owner = owner
        self.top = top
        self.state = state
        self.hasBody = hasBody
        self.latestDeadline = latestDeadline
        self.nextRenewal = nextRenewal
        lastConfirmed = confirmed
    }
}
