/// What the nodes know about a name, without taking it.
public struct LockStatus: Sendable, Hashable {
    /// What one node knows.
    public struct Node: Sendable, Hashable {
        /// The state of a name at one node.
        public enum State: Sendable, Hashable {
            /// Nobody holds it.
            case free
            /// Somebody holds it for at most `remaining` more; `nil` when the key never expires.
            case held(remaining: Duration?)
            /// The node could not be asked: why.
            case unknown(String)
        }

        /// The node's address, without credentials.
        public let node: String
        /// Whether it is held there.
        public let state: State
        /// The greatest fencing token that this node has granted for the name; `nil` when none is remembered.
        public let fence: Int64?
        /// How long this node does not vote yet, because it restarted, was emptied or is new; `nil` when it votes, when the
        /// restart guard is off, and when it could not be asked. See ``RedisLocks/Configuration/restartGuard-swift.property``.
        public let quarantine: Duration?

        package init(node: String, state: State, fence: Int64?, quarantine: Duration? = nil) {
            self.node = node
            self.state = state
            self.fence = fence
            self.quarantine = quarantine
        }
    }

    /// The name.
    public let name: String
    /// One entry for each node, in the order of the configuration.
    public let nodes: [Node]

    package init(name: String, nodes: [Node]) {
        self.name = name
        self.nodes = nodes
    }

    /// Whether a majority of nodes has it held; `nil` when too few could be asked to tell, or too many may have forgotten.
    public var isHeld: Bool? {
        let majority = nodes.count / 2 + 1
        let held = nodes.count { if case .held = $0.state { true } else { false } }
        let free = nodes.count { $0.state == .free && $0.quarantine == nil }
        if held >= majority { return true }
        return free > nodes.count - majority ? false : nil
    }
}
