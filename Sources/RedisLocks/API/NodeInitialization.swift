/// What ``RedisLocks/RedisLocks/initializeNodes(force:)`` did with one node.
public struct NodeInitialization: Sendable, Hashable {
    /// What happened at a node.
    public enum Outcome: Sendable, Hashable {
        /// It votes from now on, until it restarts (a durable one: until it loses its data).
        case initialized
        /// It, or another node of the set, holds fencing counters: the fleet has voted before, and this node may have
        /// forgotten locks that are still held. Nothing was changed. `counter` is the key of one of the counters.
        case refused(counter: String)
        /// Nothing was changed, because another node of the set could not be asked whether it has voted.
        case skipped
        /// It did not allow it: its own words. `+scan` and `+hset` are needed.
        case failed(String)
        /// It could not be asked: why.
        case unreachable(String)
    }

    /// The node's address, without credentials.
    public let node: String
    /// What happened there.
    public let outcome: Outcome

    package init(node: String, outcome: Outcome) {
        self.node = node
        self.outcome = outcome
    }
}
