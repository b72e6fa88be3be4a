/// Whether a history can be explained by operations that took effect one after the other, each between its invocation
/// and its return.
///
/// The search of Wing and Gong (1993) with the memory of Lowe (2017): extend the order by any call that no outstanding
/// call must precede, go back where none fits, and never look twice at the same set of calls in the same state.
/// Exponential in the number of calls that overlap, so it is bounded.
package struct LinearizabilityChecker<Model: LinearizabilityModel>: Sendable {
    package typealias Call = LinearizabilityCall<Model.Operation>

    private let model: Model
    private let maximumStates: Int

    /// - Parameter maximumStates: after how many configurations it gives up.
    package init(_ model: Model, maximumStates: Int = 1_000_000) {
        self.model = model
        self.maximumStates = maximumStates
    }

    /// Where time leaves a choice, the call that stands first in `calls` is tried first: a good guess saves much.
    package func check(_ calls: [Call]) -> LinearizabilityVerdict {
        var search = LinearizabilitySearch(model, calls)
        while true {
            if search.isComplete { return .linearizable(order: search.order) }
            if search.statesSeen > maximumStates { return .undecided(states: search.statesSeen) }
            guard search.step() else {
                return .notLinearizable(longest: search.longest, stuck: search.stuck)
            }
        }
    }
}

/// The state of one search. An explicit stack, since histories are longer than threads' stacks are deep.
private struct LinearizabilitySearch<Model: LinearizabilityModel> {
    private struct Frame {
        let state: Model.State
        /// The calls that may come next, and how many of them have been tried.
        let candidates: [Int]
        var tried = 0
    }

    private struct Configuration: Hashable {
        let taken: CompactSet.Key
        let state: Model.State
    }

    private let model: Model
    private let calls: [LinearizabilityCall<Model.Operation>]
    private var timeline: Timeline
    private var taken: CompactSet
    private var seen: Set<Configuration> = []
    private var frames: [Frame] = []
    private(set) var order: [Int] = []
    private(set) var longest: [Int] = []
    private(set) var stuck: [Int]

    init(_ model: Model, _ calls: [LinearizabilityCall<Model.Operation>]) {
        self.model = model
        self.calls = calls
        timeline = Timeline(calls.map { ($0.invoked, $0.returned) })
        taken = CompactSet(count: calls.count)
        let candidates = timeline.candidates()
        stuck = candidates
        frames.append(Frame(state: model.initial, candidates: candidates))
    }

    var isComplete: Bool { timeline.isComplete }
    var statesSeen: Int { seen.count }

    /// Takes one more call, or takes the last one back; `false` when everything has been tried.
    mutating func step() -> Bool {
        while let candidate = nextCandidate() {
            guard let state = model.apply(calls[candidate].operation, to: frames[frames.count - 1].state) else {
                continue
            }
            let position = timeline.position(of: candidate)
            taken.insert(position)
            guard seen.insert(Configuration(taken: taken.key, state: state)).inserted else {
                taken.remove(position)
                continue
            }
            timeline.take(candidate)
            order.append(candidate)
            let candidates = timeline.candidates()
            frames.append(Frame(state: state, candidates: candidates))
            if order.count > longest.count { (longest, stuck) = (order, candidates) }
            return true
        }
        guard let last = order.popLast() else { return false }
        frames.removeLast()
        taken.remove(timeline.position(of: last))
        timeline.putBack(last)
        return true
    }

    private mutating func nextCandidate() -> Int? {
        let top = frames.count - 1
        guard frames[top].tried < frames[top].candidates.count else { return nil }
        defer { frames[top].tried += 1 }
        return frames[top].candidates[frames[top].tried]
    }
}
