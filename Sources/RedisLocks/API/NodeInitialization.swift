/// What ``RedisLocks/RedisLocks/initializeNodes(force:)`` did with one node.
public struct NodeInitialization: Sendable, Hashable {
    /// What happened at a node.
    public enum Outcome: Sendable, Hashable {
        /// It votes from now on, until it restarts without its data.
        case initialized
        /// It holds fencing counters, so it has voted before, and may have forgotten locks that are still held. Nothing was
        /// changed. `counter` is the key of one of them.
        case refused(counter: String)
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
