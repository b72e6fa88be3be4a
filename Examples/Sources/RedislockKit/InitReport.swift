import RedisLocks

/// What `redislock init` did with each node.
struct InitReport {
    private let nodes: [NodeInitialization]
    /// Nodes that said no when they were connected to, rather than nothing.
    private let refusing: Set<String>

    /// - Parameter refusal: why too few nodes could be connected to, if so.
    init(_ nodes: [NodeInitialization], refusal: LockError?) {
        self.nodes = nodes
        refusing = Set(
            (refusal?.nodes ?? []).compactMap { report in
                if case .refused = report.outcome { report.node } else { nil }
            })
    }

    /// One line for each node.
    var text: String {
        nodes.map { "\($0.node): \(Self.phrase($0.outcome))" }.joined(separator: "\n")
    }

    private static func phrase(_ outcome: NodeInitialization.Outcome) -> String {
        switch outcome {
        case .initialized: "initialized (redis-locks:boot written); it votes from now on"
        case .refused(let counter):
            "refused and not changed: it holds fencing counters (\(counter)), so it has voted and may have forgotten locks"
        case .failed(let reason): "failed: \(reason)"
        }
    }

    var exitStatus: ExitStatus {
        var status = ExitStatus.success
        for node in nodes {
            switch node.outcome {
            case .initialized: continue
            case .refused: return .configuration
            case .failed where refusing.contains(node.node): return .configuration
            case .failed: status = .unreachable
            }
        }
        return status
    }

    /// For stderr; `nil` when all is well.
    var sentence: String? {
        let missing = nodes.count { $0.outcome != .initialized }
        guard missing > 0 else { return nil }
        let hint =
            nodes.contains { if case .refused = $0.outcome { true } else { false } }
            ? "; leave a node that holds counters the time, or add --force if nobody holds a lock" : ""
        return "\(missing) of \(nodes.count) nodes \(missing == 1 ? "was" : "were") not initialized\(hint)"
    }
}
