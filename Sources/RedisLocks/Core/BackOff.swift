/// How long to wait before the next attempt: full jitter, so that contenders spread out instead of marching in step.
///
/// See "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015).
package enum BackOff {
    package static let shortest: Duration = .milliseconds(1)
    package static let first: Duration = .milliseconds(50)
    package static let ceiling: Duration = .seconds(1)

    /// - Parameters:
    ///   - failures: how many attempts have failed in a row, from 1.
    ///   - hint: when the lock may be free, as the node told: a longer wait would waste it.
    package static func delay(
        failures: Int, hint: Duration?, using generator: inout some RandomNumberGenerator
    ) -> Duration {
        let doublings = min(max(failures - 1, 0), 5)
        var longest = min(first * (1 << doublings), ceiling)
        // One millisecond past the expiry: before it, the key is still there.
        if let hint { longest = min(longest, max(hint, .zero) + shortest) }
        return .microseconds(Int64.random(in: 1000...max(1000, longest.milliseconds * 1000), using: &generator))
    }
}
