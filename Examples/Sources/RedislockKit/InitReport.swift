import RedisLocks

/// What `redislock init` did with each node.
struct InitReport {
    enum Outcome: Equatable {
        case initialized
        /// It holds this counter, and was not changed.
        case holdsCounter(String)
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
                case .failed(let reason): .refused(reason)
                case .unreachable(let reason): .failed(reason)
                }
        }

        var text: String {
            switch outcome {
            case .initialized: "\(label): initialized (redis-locks:boot written); it votes from now on"
            case .holdsCounter(let counter):
                "\(label): not changed; it holds fencing counters (\(counter)), so it has voted and may have forgotten locks"
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
            case .failed: status = .unreachable
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
            hasCounters ? "; leave a node that holds counters the time, or add --force if nobody holds a lock" : ""
        return "\(missing) of \(nodes.count) nodes \(missing == 1 ? "was" : "were") not initialized\(hint)"
    }
}
