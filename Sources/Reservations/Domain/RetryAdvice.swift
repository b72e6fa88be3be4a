/// When it may be worth trying again. Spread out, so that those who were refused together do not come back together.
package enum RetryAdvice {
    /// The wait with up to a quarter of it on top.
    package static func jittered(
        _ wait: Duration, using generator: inout some RandomNumberGenerator
    ) -> Duration {
        wait + wait * Double.random(in: 0...0.25, using: &generator)
    }

    package static func jittered(_ wait: Duration) -> Duration {
        var generator = SystemRandomNumberGenerator()
        return jittered(wait, using: &generator)
    }

    /// After contention: 1 s, longer the more tries were in vain, at most 5 s.
    static func busy(attempts: Int) -> Duration {
        jittered(.seconds(min(max(attempts, 1), 5)))
    }

    /// When the last of the shortfalls may end, at least 1 s from now; `nil` when waiting is in vain.
    static func outOfStock(_ shortages: [Shortage]) -> Duration? {
        let waits = shortages.map(\.shortfall).compactMap { $0.mayBecomeAvailable ? $0.nextReleaseIn : nil }
        guard waits.count == shortages.count, let longest = waits.max() else { return nil }
        return jittered(max(.seconds(1), longest))
    }

    static func inProgress() -> Duration {
        jittered(.seconds(1))
    }
}
