/// A store that checks fencing tokens lets no late holder in: what users of tokens rely on.
///
/// Per key, in the store's own order:
/// - accepted claims and writes never carry a smaller token than one accepted before;
/// - keys that are also read hold a counter: a holder claims, reads v, then writes v + 1. What is read is what was written
///   last, and no write overwrites one that its holder had not read. (A key's first read says what it began with.)
package struct StoreChecker: Sendable {
    package init() {}

    package func check(_ history: LockHistory) -> [Violation] {
        Dictionary(grouping: history.storeEvents.enumerated(), by: \.element.key)
            .sorted { $0.key < $1.key }
            .flatMap { _, events in
                let ordered = events.sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }.map(\.element)
                    .filter(\.accepted)
                return tokens(ordered) + counter(ordered)
            }
    }

    private func tokens(_ accepted: [StoreEvent]) -> [Violation] {
        var highest: StoreEvent?
        var highestClaim: StoreEvent?
        var violations: [Violation] = []
        for event in accepted {
            if case .read = event.kind { continue }
            if case .write = event.kind, let highestClaim, event.token < highestClaim.token {
                violations.append(late(.staleWrite, event, highestClaim))
            } else if let highest, event.token < highest.token {
                violations.append(late(.storeTokenWentDown, event, highest))
            }
            if event.token > highest?.token ?? .min { highest = event }
            if event.kind == .claim, event.token > highestClaim?.token ?? .min { highestClaim = event }
        }
        return violations
    }

    private func late(_ kind: Violation.Kind, _ event: StoreEvent, _ earlier: StoreEvent) -> Violation {
        Violation(
            kind, "The store accepted \(event) after \(earlier).", operations: [earlier.operation, event.operation])
    }

    private func counter(_ accepted: [StoreEvent]) -> [Violation] {
        guard accepted.contains(where: { if case .read = $0.kind { true } else { false } }) else { return [] }
        var counter = Counter()
        return accepted.compactMap { counter.step($0) }
    }
}

/// A counter that is incremented by reading and writing, as the store saw it.
private struct Counter {
    /// The last write, or the first read.
    private var value: Int64?
    private var writer: StoreEvent?
    /// What each operation has read since its claim.
    private var reads: [Int: StoreEvent] = [:]

    mutating func step(_ event: StoreEvent) -> Violation? {
        switch event.kind {
        case .claim:
            reads[event.operation] = nil
            return nil
        case .read(let read):
            // One report for each rollback: what was read counts from now on.
            defer { value = read }
            reads[event.operation] = event
            guard let value, value != read else { return nil }
            return violation(.wrongValueRead, event, "although the value was \(value)")
        case .write(let written):
            defer { (value, writer) = (written, event) }
            guard let earlier = reads[event.operation], case .read(let read) = earlier.kind else {
                return violation(.writeWithoutRead, event, "without a read since its claim")
            }
            if written != read + 1 { return violation(.wrongValueWritten, event, "after reading \(read)") }
            guard value == read else { return violation(.lostUpdate, event, "which overwrites an update unread") }
            return nil
        }
    }

    private func violation(_ kind: Violation.Kind, _ event: StoreEvent, _ reason: String) -> Violation {
        Violation(
            kind, "The store accepted \(event), \(reason).",
            operations: (writer.map { [$0.operation] } ?? []) + [event.operation])
    }
}

extension StoreEvent: CustomStringConvertible {
    package var description: String {
        "\(kind) of “\(key)” at \(at) by operation \(operation) of \(client) (token \(token))"
    }
}
