import RedisLocksTesting
import TestSupport
import Testing

/// A register, as an object other than a lock.
private struct Register: LinearizabilityModel {
    enum Operation: Sendable {
        case write(Int)
        case read(Int)
    }

    let initial = 0

    func apply(_ operation: Operation, to state: Int) -> Int? {
        switch operation {
        case .write(let value): value
        case .read(let value): value == state ? state : nil
        }
    }
}

@Suite("The search for an order of operations", .timeLimit(.minutes(5)))
struct HistoryLinearizabilityTests {
    private typealias Call = LinearizabilityCall<Register.Operation>

    private func verdict(_ calls: [Call], maximumStates: Int = 1000) -> LinearizabilityVerdict {
        LinearizabilityChecker(Register(), maximumStates: maximumStates).check(calls)
    }

    @Test("No calls, and calls in a row, are explained by themselves")
    func simple() {
        #expect(verdict([]) == .linearizable(order: []))
        let calls = [
            Call(.read(1), invoked: 20, returned: 25), Call(.write(1), invoked: 0, returned: 5),
            Call(.read(0), invoked: -5, returned: -1),
        ]
        #expect(verdict(calls) == .linearizable(order: [2, 1, 0]))
    }

    @Test("Calls that touch may come in either order; one instant more, and they may not")
    func touching() {
        #expect(
            verdict([Call(.read(1), invoked: 0, returned: 5), Call(.write(1), invoked: 5, returned: 9)])
                == .linearizable(order: [1, 0]))
        #expect(
            verdict([Call(.read(1), invoked: 0, returned: 5), Call(.write(1), invoked: 6, returned: 9)])
                == .notLinearizable(longest: [], stuck: [0]))
    }

    @Test("A call of unknown outcome happens where that explains something, at any time after it began")
    func unknown() {
        let write = Call(.write(1), invoked: 0, returned: nil)
        #expect(verdict([write, Call(.read(0), invoked: 5, returned: 9)]) != .undecided(states: 0))
        #expect(isLinearizable(verdict([write, Call(.read(0), invoked: 5, returned: 9)])))
        #expect(isLinearizable(verdict([write, Call(.read(1), invoked: 50, returned: 90)])))
        let both = [Call(.read(0), invoked: 5, returned: 9), Call(.read(1), invoked: 50, returned: 90)]
        #expect(isLinearizable(verdict([write] + both)))
        #expect(!isLinearizable(verdict([write] + both + [Call(.read(0), invoked: 95, returned: 99)])))
    }

    @Test("The search stops at its limit, and knows nothing then")
    func limit() {
        let calls =
            (0..<20).map { Call(.write($0), invoked: 0, returned: 100) } + [
                Call(.read(77), invoked: 101, returned: 102)
            ]
        guard case .undecided(let states) = verdict(calls) else {
            Issue.record("decided")
            return
        }
        #expect(states == 1001)
    }

    @Test("Memory makes a search small whose orders are too many to count")
    func memory() {
        // 12 writes at once have 479,001,600 orders, but only 12 * 2^11 sets with one of them the last.
        let calls =
            (0..<12).map { Call(.write($0), invoked: 0, returned: 100) } + [
                Call(.read(77), invoked: 101, returned: 102)
            ]
        guard case .notLinearizable(let longest, let stuck) = verdict(calls, maximumStates: 12 << 11) else {
            Issue.record("not decided")
            return
        }
        #expect(longest.count == 12)
        #expect(stuck == [12])
    }

    @Test("The keys of two sets are equal when the sets are, however they came about", arguments: 0..<10)
    func keys(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var set = CompactSet(count: 300)
        var elements: Set<Int> = []
        var seen: [CompactSet.Key: Set<Int>] = [:]
        for step in 0..<3000 {
            // Fills from the front, with gaps, and empties again, as the search does.
            let limit = min(step % 600, 600 - step % 600) + 1
            let element = Int.random(in: max(0, limit - 80)..<limit, using: &generator)
            if step % 600 < 300 {
                if elements.insert(element).inserted { set.insert(element) }
                if generator.chance(50), let missing = (0..<limit).first(where: { !elements.contains($0) }) {
                    elements.insert(missing)
                    set.insert(missing)
                }
            } else if let last = elements.max() {
                elements.remove(last)
                set.remove(last)
                if generator.chance(30), elements.remove(element) != nil { set.remove(element) }
            }
            var rebuilt = CompactSet(count: 300)
            for element in elements.shuffled(using: &generator) { rebuilt.insert(element) }
            #expect(rebuilt.key == set.key)
            #expect(seen.updateValue(elements, forKey: set.key) ?? elements == elements)
        }
    }

    @Test("It agrees with trying every order, on registers", arguments: 0..<20)
    func registers(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var counts = (yes: 0, no: 0)
        for _ in 0..<50 {
            let calls = (0..<Int.random(in: 0...6, using: &generator)).map { _ -> Call in
                let value = Int.random(in: 0...2, using: &generator)
                return randomCall(generator.chance(50) ? .write(value) : .read(value), &generator)
            }
            let verdict = verdict(calls)
            let expected = isExplainedByAnyOrder(Register(), calls)
            #expect(isLinearizable(verdict) == expected, "\(calls)")
            if case .linearizable(let order) = verdict { expectExplanation(order, of: calls) }
            if expected { counts.yes += 1 } else { counts.no += 1 }
        }
        #expect(counts.yes > 5 && counts.no > 5, "both happen")
    }

    @Test("It agrees with trying every order, on histories of grants, unknown acquires included", arguments: 0..<20)
    func grants(seed: UInt64) {
        var generator = SeededGenerator(seed: seed)
        var counts = (yes: 0, no: 0)
        for _ in 0..<50 {
            let history = LockHistory(operations: (0..<3).map { randomOperation($0, &generator) })
            let expected = isExplainedByAnyOrder(PlainMutex(), PlainMutex.calls(history))
            for searchesAlways in [false, true] {
                let found = FencedMutexChecker(searchesAlways: searchesAlways).check(history)
                #expect(found.isEmpty == expected, "\(history.lines)")
            }
            if expected { counts.yes += 1 } else { counts.no += 1 }
        }
        #expect(counts.yes > 5 && counts.no > 5, "both happen")
    }

    private func isLinearizable(_ verdict: LinearizabilityVerdict) -> Bool {
        if case .linearizable = verdict { true } else { false }
    }

    private func expectExplanation(_ order: [Int], of calls: [Call]) {
        #expect(respectsTime(order, calls))
        var state: Int? = Register().initial
        for call in order { state = state.flatMap { Register().apply(calls[call].operation, to: $0) } }
        #expect(state != nil)
        #expect(Set(calls.indices.filter { calls[$0].returned != nil }).isSubset(of: order))
    }

    private func randomCall(_ operation: Register.Operation, _ generator: inout SeededGenerator) -> Call {
        let invoked = Int64.random(in: 0...12, using: &generator)
        let returned = invoked + Int64.random(in: 0...6, using: &generator)
        return Call(operation, invoked: invoked, returned: generator.chance(80) ? returned : nil)
    }

    private func randomOperation(_ id: Int, _ generator: inout SeededGenerator) -> LockOperation {
        let invoked = Int64.random(in: 0...10, using: &generator)
        guard generator.chance(75) else {
            return LockOperation(id: id, client: "\(id)", names: ["job"], invoked: invoked)
        }
        let returned = invoked + Int64.random(in: 0...8, using: &generator)
        let end = returned + Int64.random(in: 0...4, using: &generator)
        let token = Int64.random(in: 1...5, using: &generator)
        return grant(id, token: token, invoked: invoked, held: returned..<end)
    }
}

/// A fenced mutex once more, in which acquires of unknown outcome are calls, too: with any token, and freed at any time.
private struct PlainMutex: LinearizabilityModel {
    struct State: Hashable, Sendable {
        var owner = -1
        var fence: Int64 = 0
    }

    struct Operation: Sendable {
        let id: Int
        let takes: Bool
        let token: Int64?
    }

    let initial = State()

    func apply(_ operation: Operation, to state: State) -> State? {
        if !operation.takes { return state.owner == operation.id ? State(owner: -1, fence: state.fence) : nil }
        guard state.owner == -1 else { return nil }
        guard let token = operation.token else { return State(owner: operation.id, fence: state.fence) }
        return token > state.fence ? State(owner: operation.id, fence: token) : nil
    }

    static func calls(_ history: LockHistory) -> [LinearizabilityCall<Operation>] {
        history.operations.flatMap { operation in
            let end = operation.token == nil ? operation.invoked : operation.holdEnd
            return [
                LinearizabilityCall(
                    Operation(id: operation.id, takes: true, token: operation.token), invoked: operation.invoked,
                    returned: operation.token == nil ? nil : operation.returned),
                LinearizabilityCall(Operation(id: operation.id, takes: false, token: nil), invoked: end, returned: nil),
            ]
        }
    }
}

/// Whether no call stands behind one that began after it had returned.
private func respectsTime<Operation>(_ order: [Int], _ calls: [LinearizabilityCall<Operation>]) -> Bool {
    order.indices.allSatisfy { later in
        order[..<later].allSatisfy { calls[$0].invoked <= calls[order[later]].returned ?? .max }
    }
}

/// Tries every order of every choice of calls that contains those which returned.
private func isExplainedByAnyOrder<Model: LinearizabilityModel>(
    _ model: Model, _ calls: [LinearizabilityCall<Model.Operation>]
) -> Bool {
    func extend(_ order: [Int], _ state: Model.State) -> Bool {
        let rest = calls.indices.filter { !order.contains($0) }
        if rest.allSatisfy({ calls[$0].returned == nil }), respectsTime(order, calls) { return true }
        return rest.contains { call in
            model.apply(calls[call].operation, to: state).map { extend(order + [call], $0) } ?? false
        }
    }
    return extend([], model.initial)
}
