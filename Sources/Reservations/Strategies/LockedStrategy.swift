import RedisLocks

/// Takes the distributed locks of all buckets first, and only then a database connection; the rows check the fencing token.
///
/// Choose it with many servers, a small pool of connections, or a critical section that is slow: those who wait hold no
/// connection. The lock gives efficiency and order. The row gives safety: a holder that was paused past its lease is refused
/// by the fence, and if Redis forgets everything the constraint still counts.
struct LockedStrategy: ReservationStrategy {
    let name = "locked"
    let locks: RedisLocks
    let options: Strategy.LockOptions

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        var attempts = 0
        var staleFences = 0
        while true {
            attempts += 1
            var result: StrategyResult
            switch await tryOnce(claim, in: store) {
            case .lockUnavailable where options.whenUnavailable == .fallback:
                result = await AtomicStrategy().claim(claim, in: store)
                result.fellBack = true
            case .lockUnavailable(let error):
                result = StrategyResult(.failure(error), attempts: attempts)
            case .stored(.success(.staleFence(let bucket, let seen))):
                // Somebody with a greater token was here: the work is dropped, never written around.
                staleFences += 1
                if attempts < Self.maximumAttempts, await RetryDelay().wait(after: attempts) { continue }
                result = StrategyResult(.success(.staleFence(bucket, seen: seen)), attempts: attempts)
            case .stored(let outcome):
                result = StrategyResult(outcome, attempts: attempts)
            }
            result.staleFences = staleFences
            return result
        }
    }

    private static let maximumAttempts = 3

    private enum Try {
        case stored(Result<ClaimOutcome, StoreError>)
        case lockUnavailable(StoreError)
    }

    /// The transaction is committed when `withLock` releases: the next holder reads what was written.
    private func tryOnce(_ claim: Claim, in store: any ReservationStore) async -> Try {
        let names = claim.cart.buckets.map { options.prefix + $0.lockName }
        do {
            let result = try await locks.withLock(names, ttl: options.ttl, wait: options.wait) { lease in
                await RowRetry().run(claim, by: .fenced(token: lease.fencingToken), in: store).outcome
            }
            return .stored(result)
        } catch let error as LockError {
            return Self.outcome(of: error)
        } catch {
            return .stored(.failure(StoreError(.cancelled, "The task was cancelled while it waited for the lock.")))
        }
    }

    private static func outcome(of error: LockError) -> Try {
        if error.code.leaseLossReason != nil {
            // The body was cancelled, and has ended: the transaction may be there or not.
            return .stored(.failure(StoreError(.busy, error.message, effect: .unknown)))
        }
        switch error.code {
        case .waitTimedOut, .overloaded: return .stored(.failure(StoreError(.busy, error.message)))
        case .quorumUnreachable, .fencingUnavailable, .closed:
            return .lockUnavailable(StoreError(.unavailable, error.message))
        default: return .lockUnavailable(StoreError(.misconfigured, error.message))
        }
    }
}

extension Bucket {
    /// The name of the bucket's lock: never with the holder in it, for then it would keep nobody apart.
    package var lockName: String {
        switch kind {
        case .counted: "\(item)"
        case .seat: "\(item)/seat/\(label)"
        case .night: "\(item)/night/\(night)"
        }
    }
}
