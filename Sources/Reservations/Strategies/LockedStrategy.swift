import RedisLocks
import Synchronization

/// Takes the distributed locks of all buckets first, and only then a database connection; the rows check the fencing token.
///
/// Choose it with many servers, a small pool of connections, or a critical section that is slow: those who wait hold no
/// connection. The lock gives efficiency and order. The row gives safety: a holder that was paused past its lease is refused
/// by the fence, and if Redis forgets everything the constraint still counts.
struct LockedStrategy: ReservationStrategy {
    let name = "locked"
    let locks: RedisLocks
    let options: Strategy.LockOptions

    var maximumBuckets: Int? { locks.maximumNamesPerLock }

    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult {
        var attempts = 0
        var staleFences = 0
        while true {
            var result: StrategyResult
            switch await tryOnce(claim, in: store) {
            case .noLock(let error) where options.whenUnavailable == .fallback && error.code == .unavailable:
                result = await AtomicStrategy().claim(claim, in: store)
                result.fellBack = true
            case .noLock(let error):
                result = StrategyResult(.failure(error), attempts: 0)
            case .asked(let answer):
                result = answer
            }
            attempts += result.attempts
            if case .success(.staleFence) = result.outcome {
                // Somebody with a greater token was here: the work is dropped, never written around.
                staleFences += 1
                if staleFences < Self.maximumTries, await RetryDelay().wait(after: staleFences) { continue }
            }
            result.attempts = attempts
            result.staleFences = staleFences
            return result
        }
    }

    private static let maximumTries = 3

    private final class Answer: Sendable {
        let result = Mutex<StrategyResult?>(nil)
    }

    private enum Try {
        /// The store was asked.
        case asked(StrategyResult)
        /// It was not, for the lock was not to be had: `busy` when somebody else had it, `unavailable` when Redis is away.
        case noLock(StoreError)
    }

    /// The transaction is committed when `withLock` releases: the next holder reads what was written.
    private func tryOnce(_ claim: Claim, in store: any ReservationStore) async -> Try {
        // Two buckets may have one lock, where an item's name has a slash: the client takes it once. By bytes, as Redis
        // compares; a set of strings would take one lock for two spellings.
        let names = claim.cart.buckets.map { options.prefix + $0.lockName }
        // What the store said counts, whatever became of the lease meanwhile: the row has judged by the token.
        let answer = Answer()
        var lockError: (any Error)?
        do {
            try await locks.withLock(names, ttl: options.ttl, wait: options.wait) { lease in
                let result = await RowRetry().run(claim, by: .fenced(token: lease.fencingToken), in: store)
                answer.result.withLock { $0 = result }
            }
        } catch {
            lockError = error
        }
        guard let result = answer.result.withLock({ $0 }) else { return Self.withoutLock(lockError) }
        if case .failure(let error) = result.outcome, error.code == .cancelled, !Task.isCancelled {
            // The lease was lost, and its loss cancelled the statement: not what the caller asked for.
            let lost = StoreError(.busy, "The lock was lost before the store had answered.", effect: error.effect)
            return .asked(StrategyResult(.failure(lost), attempts: result.attempts))
        }
        return .asked(result)
    }

    private static func withoutLock(_ error: (any Error)?) -> Try {
        guard let error = error as? LockError, error.code != .cancelled, !Task.isCancelled else {
            return .noLock(StoreError(.cancelled, "The task was cancelled while it waited for the lock."))
        }
        switch error.code {
        case .waitTimedOut, .overloaded:
            return .noLock(StoreError(.busy, error.message))
        case .quorumUnreachable, .fencingUnavailable, .closed:
            return .noLock(StoreError(.unavailable, error.message))
        case .reentrant, .notHeld: return .noLock(StoreError(.failed, error.message))
        default: return .noLock(StoreError(error.code.leaseLossReason == nil ? .misconfigured : .busy, error.message))
        }
    }
}

extension Bucket {
    /// The name of the bucket's lock: never with the holder in it, for then it would keep nobody apart.
    package var lockName: String {
        switch kind {
        // With a prefix that ends in a colon, as the default does, it would be the name of a fencing counter.
        case .counted: item.hasSameBytes(as: "fence") ? "fence/" : item
        case .seat: "\(item)/seat/\(label)"
        case .night: "\(item)/night/\(night)"
        }
    }
}
