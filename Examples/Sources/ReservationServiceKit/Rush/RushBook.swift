import Synchronization

/// What buyers write down, all at once.
final class RushBook: Sendable {
    private struct State {
        var progress = RushProgress()
        var result = RushResult()
        var confirmed: [(id: String, token: String)] = []
        var unknown = 0
    }

    private let state = Mutex(State())

    var progress: RushProgress { state.withLock { $0.progress } }
    var result: RushResult { state.withLock { $0.result } }
    var confirmed: [(id: String, token: String)] { state.withLock { $0.confirmed } }
    var unknown: Int { state.withLock { $0.unknown } }

    /// `false` when there are too many on their way already.
    func arrived(limit: Int) -> Bool {
        state.withLock { state in
            state.progress.arrived += 1
            state.result.offered += 1
            guard state.progress.waiting < limit else {
                state.result.droppedByGenerator += 1
                return false
            }
            state.progress.waiting += 1
            return true
        }
    }

    func accepted(after latency: Duration) {
        state.withLock { state in
            state.progress.held += 1
            state.result.accepted.add(latency)
        }
    }

    func rejected(after latency: Duration) { state.withLock { $0.result.rejected.add(latency) } }

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

    func ended(_ end: RushBuyer.End) {
        state.withLock { state in
            state.progress.waiting -= 1
            switch end {
            case .confirmed(let id, let token):
                state.progress.confirmed += 1
                state.result.confirmed += 1
                state.confirmed.append((id, token))
            case .cancelled: state.result.cancelled += 1
            case .left: state.result.leftToExpire += 1
            case .soldOut:
                state.progress.soldOut += 1
                state.result.soldOut += 1
            case .gaveUp(let code): state.result.gaveUp[code, default: 0] += 1
            case .unknown:
                state.unknown += 1
                state.result.gaveUp["outcome unknown", default: 0] += 1
            }
        }
    }
}
