/// One conditional update for each bucket: the default.
///
/// Choose it when in doubt. Claims on the same bucket queue for its row in the database, first come, first served. It costs
/// a database connection for as long as the claim waits for its turn.
struct AtomicStrategy: ReservationStrategy {
    let name = "atomic"

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        await RowRetry().run(claim, by: .atomic, in: store)
    }
}

/// Locks the rows first, reads them, decides, writes.
///
/// Choose it to set how long a claim may wait for its rows. They are locked for longer than an update alone would need, and
/// so one hot item sells less.
struct PessimisticStrategy: ReservationStrategy {
    let name = "pessimistic"
    let lockTimeout: Duration

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        await RowRetry().run(claim, by: .pessimistic(lockTimeout: lockTimeout), in: store)
    }
}

/// Reads versions, decides, and writes only where nothing has changed since: the first to commit wins.
///
/// Choose it where conflicts are rare. When many want the same, most of the work is done in vain.
struct OptimisticStrategy: ReservationStrategy {
    let name = "optimistic"
    let maximumAttempts: Int

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        var (attempts, rounds) = (0, 0)
        while true {
            rounds += 1
            let states: [BucketState]
            do throws(StoreError) {
                states = try await store.states(of: claim.cart.buckets)
            } catch {
                return StrategyResult(.failure(error), attempts: attempts)
            }
            let versions = Dictionary(states.map { ($0.bucket, $0.version) }, uniquingKeysWith: { first, _ in first })
            let outcome = await store.ask(claim, by: .optimistic(versions: versions), &attempts)
            switch outcome {
            case .success(.versionConflict): break
            case .failure(let error) where error.code == .busy && error.effect == .none: break
            default: return StrategyResult(outcome, attempts: attempts)
            }
            guard rounds < maximumAttempts else {
                let exhausted = StoreError(
                    .busy, "Others were faster \(rounds) times in a row; try again, or choose another strategy.")
                return StrategyResult(.failure(exhausted), attempts: attempts)
            }
            guard await RetryDelay().wait(after: rounds) else { return .cancelled(attempts: attempts) }
        }
    }
}

/// Repeats what a database gave up for reasons of its own: a deadlock with somebody else's statements, a lock timeout.
struct RowRetry {
    var maximumAttempts = 3

    func run(_ claim: Claim, by rule: ClaimRule, in store: any ReservationStore) async -> StrategyResult {
        var (attempts, rounds) = (0, 0)
        while true {
            rounds += 1
            let outcome = await store.ask(claim, by: rule, &attempts)
            guard case .failure(let error) = outcome, error.code == .busy, error.effect == .none,
                rounds < maximumAttempts
            else { return StrategyResult(outcome, attempts: attempts) }
            guard await RetryDelay().wait(after: rounds) else { return .cancelled(attempts: attempts) }
        }
    }
}

extension StrategyResult {
    static func cancelled(attempts: Int) -> StrategyResult {
        StrategyResult(
            .failure(StoreError(.cancelled, "The task was cancelled while it waited to try again.")), attempts: attempts
        )
    }
}
