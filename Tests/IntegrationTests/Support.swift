import Synchronization

/// Something that has happened.
final class Flag: Sendable {
    private let value = Mutex(false)

    func set() { value.withLock { $0 = true } }
    var isSet: Bool { value.withLock { $0 } }
}

/// Who was inside a lock, in which order, and whether ever two at once.
final class VisitLog: Sendable {
    private struct Fields {
        var inside = 0
        var overlaps = 0
        var tokens: [Int64] = []
    }

    private let fields = Mutex(Fields())

    func enter(_ token: Int64) {
        fields.withLock { fields in
            fields.inside += 1
            if fields.inside > 1 { fields.overlaps += 1 }
            fields.tokens.append(token)
        }
    }

    func leave() { fields.withLock { $0.inside -= 1 } }
    var overlaps: Int { fields.withLock { $0.overlaps } }
    /// The tokens in the order of entering.
    var tokens: [Int64] { fields.withLock { $0.tokens } }
}
