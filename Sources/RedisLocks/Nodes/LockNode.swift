/// One Redis master as the lock engine sees it: a Redis server, or one that lives in memory.
///
/// A node belongs to the engine's executor: everything here is called there, and completions run there.
package protocol LockNode: AnyObject {
    /// The address, without credentials.
    var label: String { get }

    /// Sends one request. `completion` is called exactly once, never before `send` returns, at `deadline` at the latest.
    ///
    /// Requests of one node are executed in the order in which they were sent, as long as the connection lasts.
    func send(_ request: NodeRequest, deadline: ContinuousClock.Instant, completion: @escaping (NodeResponse) -> Void)

    /// Whether a lost connection is to be replaced at once: while leases are held or tasks wait.
    func setWanted(_ isWanted: Bool)

    /// What changes at the node that nobody asked for, for the log.
    var onEvent: ((NodeEvent) -> Void)? { get set }

    /// What the last answer that carried the server's time said.
    var lastReading: ClockReading? { get }

    /// Whether the server keeps what it acknowledged, whatever happens: `appendfsync always`.
    var isDurable: Bool { get }

    /// Lets requests that were sent finish until `deadline`, then closes. `completion` is called exactly once.
    func close(deadline: ContinuousClock.Instant, completion: @escaping () -> Void)
}

/// A script of protocol version 1, with its arguments.
package enum NodeRequest: Sendable, Equatable {
    case acquire(AcquireRequest)
    case confirm(names: [LockName], owner: OwnerID, top: Int64, counterExpiry: Int64)
    case extend(names: [LockName], owner: OwnerID, ttl: Int64, top: Int64, counterExpiry: Int64)
    case release(names: [LockName], owner: OwnerID)
    /// Reads a name: no script.
    case inspect(LockName)
    /// Deletes a name, whoever holds it. Never its counter.
    case breakLock(LockName)
    /// Looks for fencing counters: whether the node has ever voted, as far as it remembers.
    case findCounter
    /// Lets a node that has never voted vote at once. Refused where there are fencing counters, unless forced.
    case initialize(isForced: Bool)
    /// Connects, logs in and probes, if that has not happened yet.
    case ping
}

/// The arguments of ACQUIRE. Times in ms, but for the granularity.
package struct AcquireRequest: Sendable, Equatable {
    package var names: [LockName]
    package var owner: OwnerID
    package var ttl: Int64
    package var granularityMicroseconds: Int64
    package var block: Int64
    package var counterExpiry: Int64
    package var guardTime: Int64
    package var isDurable: Bool

    package init(
        names: [LockName], owner: OwnerID, ttl: Int64, granularityMicroseconds: Int64 = 1, block: Int64 = 1,
        counterExpiry: Int64, guardTime: Int64 = 0, isDurable: Bool = false
    ) {
        self.names = names
        self.owner = owner
        self.ttl = ttl
        self.granularityMicroseconds = granularityMicroseconds
        self.block = block
        self.counterExpiry = counterExpiry
        self.guardTime = guardTime
        self.isDurable = isDurable
    }
}

extension AcquireRequest {
    package init(_ terms: LockTerms, owner: OwnerID, isDurable: Bool = false) {
        self.init(
            names: terms.names, owner: owner, ttl: terms.ttl.milliseconds,
            granularityMicroseconds: terms.granularityMicroseconds, counterExpiry: terms.counterExpiry.milliseconds,
            guardTime: terms.guardTime?.milliseconds ?? 0, isDurable: isDurable)
    }
}

package enum NodeResponse: Sendable, Equatable {
    case reply(NodeReply)
    case failure(NodeFailure)
}

package enum NodeReply: Sendable, Equatable {
    /// ACQUIRE 1: `top` is the last token of the block.
    case granted(top: Int64)
    /// ACQUIRE 2: an earlier request of this owner had been applied.
    case alreadyOurs(top: Int64)
    /// ACQUIRE 0: ms, `nil` when unknown.
    case held(remaining: Int64?)
    /// ACQUIRE -1: ms.
    case quarantined(remaining: Int64)
    /// CONFIRM 1.
    case confirmed
    /// CONFIRM -1: a counter is at `top` already.
    case raised(top: Int64)
    /// CONFIRM 0, EXTEND 0.
    case notOurs
    /// EXTEND 1.
    case extended
    /// RELEASE, and breaking a lock: how many keys were deleted.
    case released(Int64)
    /// What `inspect` saw. `remaining` in ms; `nil` for a key without expiry.
    case inspected(Inspection)
    case pong
    /// The boot record is written.
    case initialized
    /// The node has voted before: the key of one of its fencing counters.
    case holdsCounter(String)
}

/// What a node knows about a name, and about itself. Times in ms.
package struct Inspection: Sendable, Equatable {
    package var isHeld: Bool
    /// `nil` for a key without expiry.
    package var remaining: Int64?
    package var fence: Int64?
    /// Since when it may have forgotten what it granted, as its boot record has it; `nil` without a record of this process.
    package var since: Int64?
    /// The node's wall clock.
    package var now: Int64

    package init(isHeld: Bool, remaining: Int64?, fence: Int64?, since: Int64? = nil, now: Int64 = 0) {
        self.isHeld = isHeld
        self.remaining = remaining
        self.fence = fence
        self.since = since
        self.now = now
    }
}

/// Why a request has no reply that counts.
package struct NodeFailure: Sendable, Equatable, Error {
    /// What is known about its effect. The error table of the documentation names the class of every error.
    package enum Effect: Sendable, Equatable {
        /// Certainly not applied: trying again is safe.
        case notApplied
        /// May have been applied.
        case ambiguous
        /// Not applied, and will not be until somebody changes a setting.
        case permanent
    }

    package var effect: Effect
    package var outcome: NodeReport.Outcome

    package init(_ effect: Effect, _ outcome: NodeReport.Outcome) {
        self.effect = effect
        self.outcome = outcome
    }
}

package enum NodeEvent: Sendable, Equatable {
    case connected
    case disconnected(String)
    case refused(String)
    /// The node serves, but not as well as it might: why.
    case caveat(String)
}
