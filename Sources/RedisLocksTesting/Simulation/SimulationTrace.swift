import RedisLocks

/// What happened, as lines for people.
package struct SimulationTrace: Sendable {
    private var lines: [(time: Int64, text: String)] = []
    private static let most = 20_000

    mutating func add(_ now: Int64, _ text: @autoclosure () -> String) {
        if lines.count == Self.most { lines.removeFirst(Self.most / 2) }
        lines.append((now, text()))
    }

    /// All of it.
    package var all: [String] { lines.map(Self.line) }

    /// What happened before and a little after an instant.
    package func around(_ instant: Int64) -> [String] {
        let end = lines.firstIndex { $0.time > instant } ?? lines.endIndex
        return lines[max(0, end - 60)..<min(end + 5, lines.endIndex)].map(Self.line)
    }

    private static func line(_ line: (time: Int64, text: String)) -> String {
        let fraction = String(line.time % 1_000_000 + 1_000_000).dropFirst()
        return "\(line.time / 1_000_000).\(fraction) ms  \(line.text)"
    }
}

extension NodeRequest {
    /// For people who follow a schedule: its owner values are worth nothing outside of it.
    var summary: String {
        func list(_ names: [LockName]) -> String { names.map(\.string).joined(separator: "+") }
        func short(_ owner: OwnerID) -> String { String(decoding: owner.bytes.prefix(6), as: UTF8.self) }
        return switch self {
        case .acquire(let request):
            "ACQUIRE \(list(request.names)) by \(short(request.owner)), ttl \(request.ttl), block \(request.block), guard "
                + "\(request.guardTime)\(request.isDurable ? ", durable" : "")"
        case .confirm(let names, let owner, let top, _): "CONFIRM \(list(names)) by \(short(owner)) at \(top)"
        case .extend(let names, let owner, let ttl, let top, _):
            "EXTEND \(list(names)) by \(short(owner)), ttl \(ttl), at \(top)"
        case .release(let names, let owner): "RELEASE \(list(names)) by \(short(owner))"
        default: "\(self)"
        }
    }
}

extension NodeResponse {
    var summary: String {
        switch self {
        case .reply(let reply): "\(reply)".replacing("RedisLocks.NodeReply.", with: "")
        case .failure(let failure): "\(failure.effect): \(NodeReport(node: "node", outcome: failure.outcome))"
        }
    }
}
