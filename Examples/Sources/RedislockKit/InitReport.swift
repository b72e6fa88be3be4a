import RedisLocks

/// What `redislock init` did with each node.
struct InitReport {
    enum Outcome: Equatable {
        case initialized
        /// It, or another node, holds this counter: none was changed.
        case holdsCounter(String)
        /// Not changed, for another node could not be asked.
        case skipped
        /// It is there, and refuses this client whatever it asks: a password, a permission, a setting.
        case refused(String)
        case failed(String)
    }

    struct Node {
        let label: String
        let outcome: Outcome

        init(_ label: String, _ outcome: Outcome) {
            self.label = label
            self.outcome = outcome
        }

        init(_ node: NodeInitialization) {
            label = node.node
            outcome =
                switch node.outcome {
                case .initialized: .initialized
                case .refused(let counter): .holdsCounter(counter)
                case .skipped: .skipped
                case .failed(let reason): .refused(reason)
                case .unreachable(let reason): .failed(reason)
                }
        }

        var text: String {
            switch outcome {
            case .initialized: "\(label): initialized (redis-locks:boot written); it votes from now on"
            case .holdsCounter(let counter):
                "\(label): not changed; a node of the set holds a fencing counter (\(counter)), so this one may have forgotten locks"
            case .skipped: "\(label): not changed; not every node could be asked whether it has voted"
            case .refused(let reason): "\(label): refused: \(reason)"
            case .failed(let reason): "\(label): failed: \(reason)"
            }
        }
    }

    let nodes: [Node]

    /// One line for each node.
    var text: String { nodes.map(\.text).joined(separator: "\n") }

    private var hasCounters: Bool {
        nodes.contains { if case .holdsCounter = $0.outcome { true } else { false } }
    }

    var exitStatus: ExitStatus {
        var status = ExitStatus.success
        for node in nodes {
            switch node.outcome {
            case .initialized: continue
            case .failed, .skipped: status = .unreachable
            case .holdsCounter, .refused: return .configuration
            }
        }
        return status
    }

    /// For stderr; `nil` when all is well.
    var sentence: String? {
        let missing = nodes.count { $0.outcome != .initialized }
        guard missing > 0 else { return nil }
        let hint =
            hasCounters ? "; give a node that restarted the time it needs, or add --force if nobody holds a lock" : ""
        return "\(missing) of \(nodes.count) nodes \(missing == 1 ? "was" : "were") not initialized\(hint)"
    }
}
