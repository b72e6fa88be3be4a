/// A line for each item: requests are written down, wait for their turn, and are decided in batches by one owner.
///
/// Choose it for a sale with a line: arrival order, a position and an estimate for everybody who waits, and the greatest
/// throughput on one hot item, for one commit decides on hundreds of requests. It costs a moment when nobody else is there,
/// and a Redis (or another queue) beside the store.
struct QueuedStrategy: ReservationStrategy {
    static let name = "queued"
    let line: WaitingLine

    var name: String { Self.name }

    /// Waits for the decision. The service does not come here: it has more to tell than this can.
    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        do throws(StoreError) {
            let (_, outcome, news) = try await line.enter(claim.keyed)
            switch outcome {
            case .decided(let decided): return StrategyResult(.success(decided), attempts: 1)
            case .key(let problem): return StrategyResult(.success(.key(problem)), attempts: 1)
            case .full, .callerLimit: throw StoreError(.busy, "The line is full.")
            case .waiting: break
            }
            guard let news else { throw StoreError(.failed, "A waiting request has nobody to tell.") }
            for await item in news {
                if case .decided(.decided(let decided)) = item { return StrategyResult(.success(decided), attempts: 1) }
            }
            throw StoreError(.cancelled, "The task was cancelled while it waited for its turn.", effect: .unknown)
        } catch {
            return StrategyResult(.failure(error), attempts: 1)
        }
    }
}

extension Claim {
    /// A request needs a name to wait under: that of its reservation, if its caller gave none.
    var keyed: Claim {
        if request != nil { return self }
        return Claim(
            id: id, holder: holder, cart: cart, ttl: ttl, totalHold: totalHold, maximumLiveHolds: maximumLiveHolds,
            request: RequestKey(caller: holder, key: "\(id)", operation: "reserve", fingerprint: "\(id)"))
    }
}
