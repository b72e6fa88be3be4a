import RedisLocksTesting
import TestSupport
import Testing

/// What can be done to a correct history that is always found, whatever the history.
enum Corruption: CaseIterable, Sendable {
    /// A grant has the token of another that shares a name.
    case repeatToken
    /// Two grants that share a name change tokens, and one was told before the other began.
    case swapDistantTokens
    /// Two grants that share a name change tokens; each was held for a time. Their acquires may overlap.
    case swapHolders
    /// A grant is told one instant before the holder before it is done.
    case tellEarly
    /// A lease ends one instant after the next holder was told.
    case endLate
    /// The store lets a late write through.
    case acceptLateWrite
    /// The store forgets a write; somebody reads afterwards.
    case forgetWrite
    /// Somebody reads a value too small, and writes what follows from it.
    case readOldValue

    /// The kinds one of which must be reported.
    var kinds: Set<Violation.Kind> {
        switch self {
        case .repeatToken: [.equalTokens]
        case .swapDistantTokens: [.invertedTokens]
        case .swapHolders: [.notLinearizable]
        case .tellEarly, .endLate: [.overlappingLeases]
        case .acceptLateWrite: [.staleWrite]
        case .forgetWrite, .readOldValue: [.wrongValueRead]
        }
    }
}

@Suite("Checkers on histories made up at random", .timeLimit(.minutes(5)))
struct HistoryPropertyTests {
    @Test("Correct histories pass", arguments: 0..<100)
    func correct(seed: UInt64) {
        var model = HistoryModel(seed: seed)
        let history = model.history(operations: 150)
        #expect(history.check(inside: true) == [])
        #expect(FencedMutexChecker(searchesAlways: true).check(history) == [])
    }

    @Test("Every single corruption is found", arguments: Corruption.allCases)
    func corrupted(_ corruption: Corruption) {
        var applied = 0
        for seed in 0..<60 {
            var model = HistoryModel(seed: UInt64(1000 + seed))
            var history = model.history(operations: 60)
            guard history.apply(corruption, using: &model.generator) else { continue }
            applied += 1
            let kinds = Set(history.check(inside: true).map(\.kind))
            #expect(!kinds.isDisjoint(with: corruption.kinds), "seed \(seed): \(kinds)")
        }
        #expect(applied > 50, "the corruption is possible nearly always")
    }

    @Test("A hundred thousand operations are no load for the checkers without a search")
    func large() {
        var model = HistoryModel(seed: 1, names: (0..<100).map { "n\($0)" }, clients: 200)
        let history = model.history(operations: 100_000)
        #expect(history.operations.count == 100_000)
        #expect(TokenChecker().check(history) == [])
        #expect(LeaseOverlapChecker().check(history) == [])
        #expect(StoreChecker().check(history) == [])
    }

    @Test("The search decides ten thousand operations on one name, either way")
    func longSearch() {
        var model = HistoryModel(seed: 2, names: ["n"], clients: 20)
        var single = model.history(operations: 10_000)
        #expect(FencedMutexChecker(searchesAlways: true).check(single) == [])
        // The search has to take back everything before it may say so.
        let held = single.operations.indices.filter {
            single.operations[$0].returned ?? .max < single.operations[$0].holdEnd
        }
        guard let last = held.last, let before = held.dropLast().last else {
            Issue.record("nobody held")
            return
        }
        (single.operations[last].outcome, single.operations[before].outcome) =
            (single.operations[before].outcome, single.operations[last].outcome)
        #expect(FencedMutexChecker().check(single).kinds == [.notLinearizable])
    }
}

extension LockHistory {
    /// Makes one change; `false` where the history has no place for it.
    fileprivate mutating func apply(_ corruption: Corruption, using generator: inout SeededGenerator) -> Bool {
        switch corruption {
        case .acceptLateWrite, .forgetWrite, .readOldValue: return corruptStore(corruption, using: &generator)
        default: break
        }
        guard let (first, second) = pairs(for: corruption).randomElement(using: &generator) else { return false }
        switch corruption {
        case .repeatToken: operations[second].outcome = operations[first].outcome
        case .swapDistantTokens, .swapHolders:
            (operations[first].outcome, operations[second].outcome) =
                (operations[second].outcome, operations[first].outcome)
        case .tellEarly:
            let instant = operations[first].holdEnd - 1
            operations[second].returned = instant
            operations[second].invoked = min(operations[second].invoked, instant)
        default:
            guard let told = operations[second].returned else { return false }
            operations[first].ended = nil
            operations[first].releaseInvoked = nil
            operations[first].releaseReturned = nil
            operations[first].deadline = told + 1
        }
        return true
    }

    /// Pairs of grants that share a name and that the corruption makes wrong, the one that came first in front.
    private func pairs(for corruption: Corruption) -> [(Int, Int)] {
        var pairs: [(Int, Int)] = []
        for second in operations.indices where operations[second].token != nil {
            for first in 0..<second where operations[first].token != nil {
                let (one, other) = (operations[first], operations[second])
                guard !Set(one.names).isDisjoint(with: other.names) else { continue }
                guard let told = one.returned, let otherTold = other.returned else { continue }
                let isHeld = told < one.holdEnd
                let isOtherHeld = otherTold < other.holdEnd
                let isPair =
                    switch corruption {
                    case .swapDistantTokens: told < other.invoked
                    case .tellEarly: isHeld
                    case .endLate: isOtherHeld
                    case .swapHolders: isHeld && isOtherHeld
                    default: true
                    }
                if isPair { pairs.append((first, second)) }
            }
        }
        return pairs
    }

    private mutating func corruptStore(_ corruption: Corruption, using generator: inout SeededGenerator) -> Bool {
        let places = storeEvents.indices.filter { index in
            let event = storeEvents[index]
            switch (corruption, event.kind) {
            case (.acceptLateWrite, .write): return !event.accepted
            case (.forgetWrite, .write):
                return event.accepted
                    && storeEvents[index...].dropFirst().contains {
                        $0.key == event.key && $0.kind == .read(event.value)
                    }
            case (.readOldValue, .read(let value)): return value > 0
            default: return false
            }
        }
        guard let place = places.randomElement(using: &generator) else { return false }
        switch corruption {
        case .acceptLateWrite: storeEvents[place].accepted = true
        case .forgetWrite: storeEvents.remove(at: place)
        default:
            let event = storeEvents[place]
            storeEvents[place].kind = .read(event.value - 1)
            for index in storeEvents.indices.dropFirst(place)
            where storeEvents[index].key == event.key && storeEvents[index].operation == event.operation
                && storeEvents[index].kind == .write(event.value + 1)
            {
                storeEvents[index].kind = .write(event.value)
            }
        }
        return true
    }
}

extension StoreEvent {
    fileprivate var value: Int64 {
        switch kind {
        case .claim: 0
        case .read(let value), .write(let value): value
        }
    }
}
