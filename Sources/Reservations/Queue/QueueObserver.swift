import Logging
import Metrics
import RedisLocks
import Synchronization

/// Logs and metrics of waiting lines. As for everything: no holder and no key in either.
final class QueueObserver: Sendable {
    private let logger: Logger
    private let requeuedCount = Counter(label: "reservations_queue_requeued_total")
    private let staleTokens = Counter(label: "reservations_stale_fences_total")
    private let expiredCount = Counter(label: "reservations_expired_total")
    private let batchSize = Recorder(label: "reservations_queue_batch_size")
    private let waiting = Gauge(label: "reservations_queue_waiting")
    private let oldest = Gauge(label: "reservations_queue_oldest_seconds")
    private let decisions: [BatchOutcome.Verdict.Kind: Counter]
    private let troubles = Mutex<[String: ContinuousClock.Instant]>([:])

    init(logger: Logger) {
        self.logger = logger
        let kinds: [BatchOutcome.Verdict.Kind] = [.held, .refused, .skipped, .failed]
        decisions = Dictionary(
            uniqueKeysWithValues: kinds.map {
                ($0, Counter(label: "reservations_queue_decisions_total", dimensions: [("decision", $0.rawValue)]))
            })
    }

    func decided(_ verdicts: [BatchOutcome.Verdict], in partition: Int) {
        batchSize.record(verdicts.count)
        let counts = verdicts.reduce(into: [:]) { $0[$1.kind, default: 0] += 1 }
        for (kind, count) in counts { decisions[kind]?.increment(by: count) }
        for verdict in verdicts where verdict.kind == .failed {
            logger.error("A request could not be decided and was set aside", metadata: ["partition": "\(partition)"])
        }
    }

    func lags(_ lags: [LineLag]) {
        waiting.record(lags.reduce(0) { $0 + $1.waiting })
        oldest.record((lags.compactMap(\.oldest).max() ?? .zero) / .seconds(1))
    }

    func expired(_ count: Int) {
        if count > 0 { expiredCount.increment(by: count) }
    }

    func took(_ partition: Int, token: Int64) {
        logger.info(
            "This process decides in a waiting line now", metadata: ["partition": "\(partition)", "token": "\(token)"])
    }

    func ownershipEnded(_ partition: Int, _ error: any Error) {
        guard (error as? LockError)?.code != .waitTimedOut else { return }
        logger.notice(
            "This process does not decide in a waiting line any more",
            metadata: ["partition": "\(partition)", "error": "\(error)"])
    }

    func staleToken(_ partition: Int, token: Int64, seen: Int64) {
        staleTokens.increment()
        logger.error(
            "The store has seen a greater fencing token than the lock gave: Redis has forgotten its counters",
            metadata: ["partition": "\(partition)", "token": "\(token)", "seen": "\(seen)"])
    }

    func queueLost(_ partition: Int) {
        logger.warning(
            "The queue has lost its entries: all that wait are put there again", metadata: ["partition": "\(partition)"]
        )
    }

    func requeued(_ count: Int, _ partition: Int) {
        requeuedCount.increment(by: count)
        logger.notice(
            "Accepted requests were not in the queue and are put there again",
            metadata: ["partition": "\(partition)", "count": "\(count)"])
    }

    /// At most once in ten seconds for each sentence, which is constant.
    func trouble(_ sentence: String, _ error: any Error) {
        let isDue = troubles.withLock { troubles in
            if let last = troubles[sentence], .now - last < .seconds(10) { return false }
            troubles[sentence] = .now
            return true
        }
        if isDue { logger.warning("\(sentence)", metadata: ["error": "\(error)"]) }
    }
}
