import Synchronization

/// How often one caller may ask: a bucket of tokens for each.
package final class RateLimiter: Sendable {
    private struct Bucket {
        var tokens: Double
        var filled: ContinuousClock.Instant
    }

    private let perSecond: Double
    private let burst: Double
    private let buckets = Mutex<[String: Bucket]>([:])
    /// Callers cost nothing, so the table must not grow with them.
    private static let maximumCallers = 65_536

    package init(perSecond: Double, burst: Double) {
        self.perSecond = perSecond
        self.burst = burst
    }

    /// `nil` to let it pass, else how long to wait. What a machine watches us by is never limited.
    package func admit(
        _ caller: String, path: String = "", at now: ContinuousClock.Instant = .now
    ) -> Duration? {
        guard !["/healthz", "/readyz", "/metrics"].contains(path) else { return nil }
        return buckets.withLock { buckets in
            if buckets.count >= Self.maximumCallers { forget(&buckets, at: now) }
            var bucket = buckets[caller] ?? Bucket(tokens: burst, filled: now)
            bucket.tokens = min(burst, bucket.tokens + (now - bucket.filled) / .seconds(1) * perSecond)
            bucket.filled = now
            let wait: Duration? = bucket.tokens >= 1 ? nil : .seconds((1 - bucket.tokens) / perSecond)
            if wait == nil { bucket.tokens -= 1 }
            buckets[caller] = bucket
            return wait
        }
    }

    /// Full buckets say nothing. When there are none, everybody starts anew: better than no memory at all.
    private func forget(_ buckets: inout [String: Bucket], at now: ContinuousClock.Instant) {
        buckets = buckets.filter { $0.value.tokens + (now - $0.value.filled) / .seconds(1) * perSecond < burst }
        if buckets.count >= Self.maximumCallers { buckets = [:] }
    }
}
