/// What the engine needs to know besides the terms of each lock.
package struct EngineSettings: Sendable {
    package var connectTimeout: Duration
    package var maximumWaiters: Int
    package var shutdownGrace: Duration

    package init(connectTimeout: Duration, maximumWaiters: Int, shutdownGrace: Duration) {
        self.connectTimeout = connectTimeout
        self.maximumWaiters = maximumWaiters
        self.shutdownGrace = shutdownGrace
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
}

/// A task that waits for names, from its request until its answer. Belongs to the engine.
final class Waiter {
    let id: WaitLine.ID
    let terms: LockTerms
    let started: ContinuousClock.Instant
    let budgetEnd: ContinuousClock.Instant
    let hasBody: Bool
    /// Resumed exactly once: by whoever takes the waiter out of the engine's table, or refuses to put it there.
    let continuation: CheckedContinuation<AcquireResult, Never>
    var attempts = 0
    var attempt: Attempt?
    var timer: TimerReference?
    /// What the nodes said last, for the error when time runs out.
    var reports: [NodeReport] = []
    var refusal: AcquireMachine.Refusal?

    init(
        id: WaitLine.ID, terms: LockTerms, started: ContinuousClock.Instant, budgetEnd: ContinuousClock.Instant,
        hasBody: Bool, continuation: CheckedContinuation<AcquireResult, Never>
    ) {
        self.id = id
        self.terms = terms
        self.started = started
        self.budgetEnd = budgetEnd
        self.hasBody = hasBody
        self.continuation = continuation
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
    var isExtending = false
    var failedExtensions = 0
    var hasWarned = false
    var timer: TimerReference?

    init(
        id: WaitLine.ID, terms: LockTerms, owner: OwnerID, top: Int64, state: LeaseState, hasBody: Bool,
        latestDeadline: ContinuousClock.Instant?, nextRenewal: ContinuousClock.Instant
    ) {
        self.id = id
        self.terms = terms
        self.owner = owner
        self.top = top
        self.state = state
        self.hasBody = hasBody
        self.latestDeadline = latestDeadline
        self.nextRenewal = nextRenewal
    }
}
