/// Whether the grants of each name can be explained by a mutex with a fence: taken only when free and with a greater
/// token than before, freed only by its owner.
///
/// It sees what the checks of intervals and of order in time miss each by itself, such as two overlapping acquires whose
/// holders came one after the other, in the opposite order to their tokens. A lease ends at its deadline by itself: that is
/// a release, too. An acquire of unknown outcome may have taken the mutex and given it back at any later instant; as that
/// only ever takes possibilities away from others, leaving it out loses nothing.
package struct FencedMutexChecker: Sendable {
    private let maximumStates: Int
    private let searchesAlways: Bool

    /// - Parameters:
    ///   - maximumStates: after how many configurations the search for one name gives up.
    ///   - searchesAlways: search even where the order of the tokens is an explanation: to test the search.
    package init(maximumStates: Int = 1_000_000, searchesAlways: Bool = false) {
        self.maximumStates = maximumStates
        self.searchesAlways = searchesAlways
    }

    package func check(_ history: LockHistory) -> [Violation] {
        check(history.grantsByName())
    }

    func check(_ grantsByName: LockHistory.GrantsByName) -> [Violation] {
        grantsByName.compactMap { name, grants in check(name, grants) }
    }

    /// Whether each grant can have taken the mutex as soon as it was asked for and the one before was over: a witness for
    /// nearly every correct history, without a search.
    private func isExplainedByTokens(_ sorted: [LockHistory.Grant]) -> Bool {
        var free = Int64.min
        var fence = Int64.min
        for grant in sorted {
            let taken = max(grant.operation.invoked, free)
            guard grant.token > fence, taken <= grant.returned else { return false }
            (free, fence) = (max(grant.operation.holdEnd, taken), grant.token)
        }
        return true
    }

    private func check(_ name: String, _ grants: [LockHistory.Grant]) -> Violation? {
        let sorted = grants.sorted { ($0.token, $0.id) < ($1.token, $1.id) }
        if !searchesAlways, isExplainedByTokens(sorted) { return nil }
        let calls = FencedMutex.calls(sorted)
        switch LinearizabilityChecker(FencedMutex(), maximumStates: maximumStates).check(calls) {
        case .linearizable: return nil
        case .undecided(let states):
            return Violation(.undecided, "“\(name)”: undecided after \(states) configurations.")
        case .notLinearizable(let longest, let stuck):
            let last = longest.last.map { calls[$0].operation.id }
            let next = stuck.map { calls[$0].operation.id }
            return Violation(
                .notLinearizable,
                "“\(name)”: no mutex behaves like this. \(longest.count) of \(calls.count) steps can be explained; "
                    + "after operation \(last.map(String.init) ?? "none"), none of the operations \(next) fits.",
                operations: (last.map { [$0] } ?? []) + next)
        }
    }
}

/// A mutex whose owners get growing tokens.
package struct FencedMutex: LinearizabilityModel {
    package struct State: Hashable, Sendable {
        var owner: Int?
        var fence = Int64.min
    }

    package enum Operation: Sendable {
        case acquire(id: Int, token: Int64)
        case release(id: Int)

        var id: Int {
            switch self {
            case .acquire(let id, _), .release(let id): id
            }
        }
    }

    package init() {}

    package var initial: State { State() }

    package func apply(_ operation: Operation, to state: State) -> State? {
        switch operation {
        case .acquire(let id, let token):
            state.owner == nil && token > state.fence ? State(owner: id, fence: token) : nil
        case .release(let id):
            state.owner == id ? State(owner: nil, fence: state.fence) : nil
        }
    }

    /// An acquire and the end of the lease, for each grant. The end may come at any instant once the holder no longer
    /// claims to hold: the key may outlive the lease.
    static func calls(_ grants: [LockHistory.Grant]) -> [LinearizabilityCall<Operation>] {
        grants.flatMap { grant in
            [
                LinearizabilityCall(
                    .acquire(id: grant.id, token: grant.token), invoked: grant.operation.invoked,
                    returned: grant.operation.returned),
                LinearizabilityCall(
                    .release(id: grant.id), invoked: max(grant.operation.holdEnd, grant.operation.invoked),
                    returned: nil),
            ]
        }
    }
}
