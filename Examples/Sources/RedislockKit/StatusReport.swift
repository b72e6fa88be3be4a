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
        /// For how long it does not vote yet; `null` when it votes, or could not be asked.
        package var quarantineMilliseconds: Int64?
        /// Why the node could not be asked.
        package var problem: String?

        enum CodingKeys: String, CodingKey {
            case node, state, fence, problem
            case remainingMilliseconds = "remaining_ms"
            case quarantineMilliseconds = "quarantine_ms"
        }

        package func encode(to encoder: any Encoder) throws {
            // Every key is always there, so that a reader needs no case for "missing".
            var container = encoder.container(keyedBy: CodingKeys.self)
            try container.encode(node, forKey: .node)
            try container.encode(state, forKey: .state)
            try container.encode(remainingMilliseconds, forKey: .remainingMilliseconds)
            try container.encode(fence, forKey: .fence)
            try container.encode(quarantineMilliseconds, forKey: .quarantineMilliseconds)
            try container.encode(problem, forKey: .problem)
        }
    }

    package var key: String
    /// `held`, `free` or `unknown`: what a majority of nodes says.
    package var state: String
    package var nodes: [Node]

    package init(_ status: LockStatus) {
        key = status.name
        state = Self.verdict(status)
        nodes = status.nodes.map { node in
            var entry = Node(node: node.node, state: "free", fence: node.fence)
            entry.quarantineMilliseconds = node.quarantine?.wholeMilliseconds
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

    /// What a majority says. "Free" is worth nothing from a node that may have forgotten who holds it.
    private static func verdict(_ status: LockStatus) -> String {
        guard status.isHeld == false else { return status.isHeld == nil ? "unknown" : "held" }
        let free = status.nodes.count { $0.state == .free && $0.quarantine == nil }
        return free > (status.nodes.count - 1) / 2 ? "free" : "unknown"
    }

    /// 0 when the question was answered, 69 when too few nodes could be asked.
    package var exitStatus: ExitStatus { state == "unknown" ? .unreachable : .success }

    package func json() throws -> String {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        return String(decoding: try encoder.encode(self), as: UTF8.self)
    }

    /// A table: what the majority says, and a line for each node.
    package var text: String {
        let columns = ["NODE", "STATE", "EXPIRES IN", "FENCE", "VOTES", "PROBLEM"]
        let table = Table(header: columns, rows: nodes.map(Self.row)).text
        return "\(key): \(state)\(nodes.count == 1 ? "" : " (\(count))")\n\n\(table)"
    }

    private var count: String {
        let held = nodes.count { $0.state == "held" }
        let voting = nodes.count { $0.state != "unknown" && $0.quarantineMilliseconds == nil }
        return "\(held) of \(nodes.count) nodes hold it, \(voting) can vote"
    }

    private static func row(_ node: Node) -> [String] {
        func time(_ milliseconds: Int64) -> String { Duration.milliseconds(milliseconds).forPeople }
        let expiry = node.state == "held" ? node.remainingMilliseconds.map(time) ?? "never" : "-"
        let votes = node.quarantineMilliseconds.map { "in \(time($0))" } ?? "yes"
        return [
            node.node, node.state, expiry, node.fence.map(String.init) ?? "-", node.state == "unknown" ? "-" : votes,
            node.problem ?? "",
        ]
    }

    /// Why too little is known, if so.
    package var silence: String {
        nodes.compactMap { node in
            if let problem = node.problem { return "\(node.node): \(problem)" }
            let left = node.quarantineMilliseconds.map { Duration.milliseconds($0).forPeople }
            return left.map { "\(node.node) does not vote for another \($0), for it restarted, was emptied or is new" }
        }.joined(separator: "; ")
    }
}
