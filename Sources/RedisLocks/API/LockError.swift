/// Why a lock operation did not succeed.
///
/// "Somebody else holds it" is not an error: ``RedisLocks/withLockIfAvailable(_:ttl:_:)`` answers `nil`.
public struct LockError: Error, Sendable {
    /// What kind of failure it is. New cases may come: always have a `default`.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        enum Kind: Hashable, Sendable {
            case waitTimedOut, quorumUnreachable, leaseLost(LeaseLossReason), notHeld, misconfigured
            case fencingUnavailable, cancelled, reentrant, closed, overloaded
        }

        let kind: Kind

        /// The wait budget passed while somebody else held the lock. Retrying later is reasonable.
        public static let waitTimedOut = Code(kind: .waitTimedOut)
        /// Too few nodes answered to decide; ``LockError/nodes`` says what each of them did.
        public static let quorumUnreachable = Code(kind: .quorumUnreachable)
        /// The lease ended before its holder was done. Others may hold the name now.
        public static func leaseLost(_ reason: LeaseLossReason) -> Code { Code(kind: .leaseLost(reason)) }
        /// The lease was released before.
        public static let notHeld = Code(kind: .notHeld)
        /// Options, credentials or server settings that cannot work. Retrying does not help; the message says what to change.
        public static let misconfigured = Code(kind: .misconfigured)
        /// A majority held the lock, but agreement on a fencing token was not reached in time.
        public static let fencingUnavailable = Code(kind: .fencingUnavailable)
        /// The task was cancelled while it waited.
        public static let cancelled = Code(kind: .cancelled)
        /// The name was asked for inside its own `withLock` body: it would wait for itself.
        public static let reentrant = Code(kind: .reentrant)
        /// ``RedisLocks`` was shut down.
        public static let closed = Code(kind: .closed)
        /// ``RedisLocks/Configuration/maximumWaiters`` tasks of this process wait already.
        public static let overloaded = Code(kind: .overloaded)

        /// The reason of a lost lease, `nil` for every other code.
        public var leaseLossReason: LeaseLossReason? {
            if case .leaseLost(let reason) = kind { reason } else { nil }
        }

        /// Whether the same call may succeed later without anybody changing anything.
        public var isRetryable: Bool {
            switch kind {
            case .waitTimedOut, .quorumUnreachable, .leaseLost, .fencingUnavailable, .overloaded: true
            case .notHeld, .misconfigured, .cancelled, .reentrant, .closed: false
            }
        }

        /// The code's name, constant over versions: fit for a metric's label.
        public var description: String {
            switch kind {
            case .waitTimedOut: "waitTimedOut"
            case .quorumUnreachable: "quorumUnreachable"
            case .leaseLost: "leaseLost"
            case .notHeld: "notHeld"
            case .misconfigured: "misconfigured"
            case .fencingUnavailable: "fencingUnavailable"
            case .cancelled: "cancelled"
            case .reentrant: "reentrant"
            case .closed: "closed"
            case .overloaded: "overloaded"
            }
        }
    }

    /// What kind of failure it is.
    public let code: Code
    /// One sentence: what was wrong, where, and what to do. Holds no secret.
    public let message: String
    /// The names that were asked for.
    public let names: [String]
    /// What each node did last, in the order of the configuration.
    public let nodes: [NodeReport]
    /// The error of the `withLock` body, when it threw one of its own besides losing its lease.
    public let bodyError: (any Error)?

    package init(
        _ code: Code,
        _ message: String,
        names: [String] = [],
        nodes: [NodeReport] = [],
        bodyError: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.names = names
        self.nodes = nodes
        self.bodyError = bodyError
    }
}

extension LockError: CustomStringConvertible {
    /// The message, followed by what each node did.
    public var description: String {
        nodes.isEmpty ? message : message + " [" + nodes.map(\.description).joined(separator: "; ") + "]"
    }
}

/// Why a lease ended before its holder released it.
public enum LeaseLossReason: String, Hashable, Sendable, CustomStringConvertible {
    /// It could not be renewed before its local deadline: the nodes were unreachable, or this process stood still.
    case expired
    /// The nodes said that the name is not ours any more: it was broken by an operator, flushed, or the server lost it.
    case taken
    /// ``RedisLocks/Configuration/maximumHold`` was reached.
    case maximumHold
    /// The clocks of so many nodes have jumped against ours during the hold that no majority is left to rely on. Only with
    /// three nodes or more.
    case clockStepped
    /// ``RedisLocks`` was shut down while the lease was held.
    case shutdown

    /// A phrase that completes "The lease was lost: ...".
    public var description: String {
        switch self {
        case .expired: "it could not be renewed before its deadline"
        case .taken: "the server says that it is not ours any more"
        case .maximumHold: "the maximum hold time was reached"
        case .clockStepped: "the clocks of too many nodes, or of this machine, jumped"
        case .shutdown: "the lock client was shut down"
        }
    }
}

/// What one node did in an attempt.
public struct NodeReport: Sendable, Hashable, CustomStringConvertible {
    /// What happened at a node.
    public enum Outcome: Sendable, Hashable {
        /// The node granted the lock.
        case won
        /// Somebody else holds it there, for at most `remaining` more; `nil` when it never expires.
        case heldByOther(remaining: Duration?)
        /// The node does not vote for this long, because it restarted, was emptied or is new: see
        /// ``RedisLocks/Configuration/restartGuard-swift.property``.
        case quarantined(remaining: Duration)
        /// The node granted the lock, but its clock is this far off the other nodes', or has just jumped by this much: it may
        /// have let somebody else's lease expire early, so its vote does not count.
        case clockSkewed(by: Duration)
        /// The node answered with an error: the server's own words.
        case refused(String)
        /// No answer in time.
        case timedOut
        /// No connection: why.
        case unreachable(String)
        /// The attempt was decided before the node answered.
        case notNeeded
    }

    /// The node's address, without credentials.
    public let node: String
    /// What happened there.
    public let outcome: Outcome

    package init(node: String, outcome: Outcome) {
        self.node = node
        self.outcome = outcome
    }

    /// `redis://host:6379: held by another for 1.2 s`
    public var description: String {
        switch outcome {
        case .won: "\(node): granted"
        case .heldByOther(.some(let remaining)): "\(node): held by another for \(remaining.inSeconds)"
        case .heldByOther(.none): "\(node): held by another, without expiry"
        case .quarantined(let remaining):
            "\(node): does not vote for another \(remaining.inSeconds), for it restarted, was emptied or is new"
        case .clockSkewed(let skew): "\(node): its clock is off by \(skew.inSeconds)"
        case .refused(let reason): "\(node): \(reason)"
        case .timedOut: "\(node): no answer in time"
        case .unreachable(let reason): "\(node): \(reason)"
        case .notNeeded: "\(node): not needed"
        }
    }
}
