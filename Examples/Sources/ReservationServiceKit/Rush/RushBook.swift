import Synchronization

/// What buyers write down, all at once.
final class RushBook: Sendable {
    private struct State {
        var progress = RushProgress()
        var result = RushResult()
        var buyers: [Int: RushBuyer] = [:]
        var stories: [Int: RushBuyer.Story] = [:]
        var accepted: Set<Int> = []
        var rejected: Set<Int> = []
        /// Whoever asks now does so because all others are done: that is no latency.
        var isOver = false
    }

    private let state = Mutex(State())

    var progress: RushProgress { state.withLock { $0.progress } }

    /// All that have come and were not dropped, with what became of them.
    var stories: [(buyer: RushBuyer, story: RushBuyer.Story)] {
        state.withLock { state in
            state.stories.compactMap { number, story in state.buyers[number].map { ($0, story) } }
        }
    }

    /// `false` when there are too many on their way already.
    func arrived(_ buyer: RushBuyer, limit: Int) -> Bool {
        state.withLock { state in
            state.progress.arrived += 1
            state.result.offered += 1
            guard state.progress.waiting < limit else {
                state.result.droppedByGenerator += 1
                return false
            }
            state.progress.waiting += 1
            if buyer.repetition != .never { state.result.sentTwice += 1 }
            state.buyers[buyer.number] = buyer
            return true
        }
    }

    /// Of several answers to the same buyer the first counts.
    func accepted(_ number: Int, after latency: Duration) {
        state.withLock { state in
            guard state.accepted.insert(number).inserted else { return }
            state.progress.held += 1
            if !state.isOver { state.result.accepted.add(latency) }
        }
    }

    func rejected(_ number: Int, after latency: Duration) {
        state.withLock { state in
            guard state.rejected.insert(number).inserted, !state.isOver else { return }
            state.result.rejected.add(latency)
        }
    }

    /// The crowd is gone.
    func crowdIsOver() {
        state.withLock { $0.isOver = true }
    }

    func retried() {
        state.withLock { state in
            state.progress.retries += 1
            state.result.retries += 1
        }
    }

    /// Two answers to one request must be of one reservation.
    func compare(_ first: RushClient.Answer?, _ second: RushClient.Answer?) {
        guard let first, let second, first.status == 201, second.status == 201 else { return }
        let ids = [first, second].map { $0.decode(RushClient.Held.self)?.id }
        state.withLock { state in
            if ids[0] == ids[1] { state.result.repeated += 1 } else { state.result.duplicates += 1 }
        }
    }

    func ended(_ number: Int, _ story: RushBuyer.Story) {
        state.withLock { state in
            state.progress.waiting -= 1
            switch story.end {
            case .confirmed: state.progress.confirmed += 1
            case .soldOut: state.progress.soldOut += 1
            default: break
            }
            state.stories[number] = story
        }
    }

    /// What a buyer was told at last, after all others were done.
    func corrected(_ number: Int, _ story: RushBuyer.Story) {
        state.withLock { state in
            if state.stories[number]?.end == .unanswered, story.end != .unanswered { state.result.answeredLate += 1 }
            state.stories[number] = story
        }
    }

    /// Whether a request that was sent again had the same answer; `nil` when it had none.
    func repeated(_ isSame: Bool?) {
        state.withLock { state in
            switch isSame {
            case true?: state.result.confirmedByRepetition += 1
            case false?: state.result.duplicates += 1
            case nil: state.result.unanswered += 1
            }
        }
    }

    /// The ends of all buyers, counted.
    var result: RushResult {
        state.withLock { state in
            var result = state.result
            for story in state.stories.values {
                switch story.end {
                case .confirmed: result.confirmed += 1
                case .cancelled: result.cancelled += 1
                case .left: result.leftToExpire += 1
                case .overtaken: result.overtaken += 1
                case .soldOut: result.soldOut += 1
                case .refused(let code): result.gaveUp[code, default: 0] += 1
                case .unanswered: result.unanswered += 1
                }
            }
            return result
        }
    }
}
