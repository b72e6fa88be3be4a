import RedisLocks

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What `redislock status` answers, for people and for programs.
package struct StatusReport: Encodable, Sendable {
    package struct Node: Encodable, Sendable {
        package var node: String
        /// `held`, `free` or `unknown`.
        package var state: String
        /// `null` when it is not held, or held without expiry.
        package var remainingMilliseconds: Int64?
        /// The greatest fencing token this node has granted for the key; `null` when it remembers none.
        package var fence: Int64?
        /// Why the node could not be asked.
        package var problem: String?

        enum CodingKeys: String, CodingKey {
            case node, state, fence, problem
            case remainingMilliseconds = "remaining_ms"
        }

        package func encode(to encoder: any Encoder) throws {
            // Every key is always there, so that a reader needs no case for "missing".
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(node, forKey: .node)
            try container.encode(state, forKey: .state)
            try container.encode(remainingMilliseconds, forKey: .remainingMilliseconds)
            try container.encode(fence, forKey: .fence)
            try container.encode(problem, forKey: .problem)
        }
    }

    package var key: String
    /// `held`, `free` or `unknown`: what a majority of nodes says.
    package var state: String
    package var nodes: [Node]

    package init(_ status: LockStatus) {
        key = status.name
        state = status.isHeld.map { $0 ? "held" : "free" } ?? "unknown"
        nodes = status.nodes.map { node in
            var entry = Node(node: node.node, state: "free", fence: node.fence)
            switch node.state {
            case .free: break
            case .held(let remaining):
                entry.state = "held"
                entry.remainingMilliseconds = remaining?.wholeMilliseconds
            case .unknown(let problem):
                entry.state = "unknown"
                entry.problem = problem
            }
            return entry
        }
    }

    /// 0 when the question was answered, 69 when too few nodes could be asked.
    package var exitStatus: ExitStatus { state == "unknown" ? .unreachable : .success }

    package func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    package var text: String {
        (["\(key): \(state)"] + nodes.map { "  \($0.node): \(phrase($0))" }).joined(separator: "\n")
    }

    private func phrase(_ node: Node) -> String {
        let fence = node.fence.map { "last fencing token \($0)" } ?? "no fencing token remembered"
        switch node.state {
        case "held":
            let left = node.remainingMilliseconds.map { "expires in \(Duration.milliseconds($0).forPeople)" }
            return "held, \(left ?? "never expires"), \(fence)"
        case "free": return "free, \(fence)"
        default: return "unknown: \(node.problem ?? "no answer")"
        }
    }
}
