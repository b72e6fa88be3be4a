/// Whether the grants of each name can be explained by a mutex with a fence: taken only when free and with a greater
/// token than before, freed only by its owner.
///
/// It sees what the checks of intervals and of order in time miss each by itself, such as two overlapping acquires whose
/// holders came one after the other, in the opposite order to their tokens. A lease ends at its deadline by itself: that is
/// a release, too. An acquire of unknown outcome may have taken the mutex and given it back at any later instant; as that
/// only ever takes possibilities away from others, leaving it out loses nothing.
package struct FencedMutexChecker: Sendable {
    private let maximumStates: Int

    package init(maximumStates: Int = 1_000_000) {
        self.maximumStates = maximumStates
    }

    package func check(_ history: LockHistory) -> [Violation] {
        history.grantsByName().compactMap { name, grants in check(name, grants) }
    }

    private func check(_ name: String, _ grants: [LockHistory.Grant]) -> Violation? {
        // By token: the order in which they must have come, if there is one.
        let calls = FencedMutex.calls(grants.sorted { ($0.token, $0.id) < ($1.token, $1.id) })
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
