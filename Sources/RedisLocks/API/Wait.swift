/// How long to wait for a lock that somebody else holds. Never infinite by accident: there is always a number.
public struct Wait: Sendable, Hashable {
    package let budget: Duration

    /// Waits for at most `duration`: 0 means one try, more than a year means a year.
    ///
    /// It also bounds how long an unreachable node is waited for. What is under way when it ends is finished: with one
    /// node a request and its repetition, with several a request and at most three confirmations, each with its ``RedisLocks/Configuration/nodeTimeout``, and at the first request of a client its
    /// ``RedisLocks/Configuration/connectTimeout``.
    public static func upTo(_ duration: Duration) -> Wait {
        Wait(budget: min(max(duration, .zero), longest))
    }

    private static let longest: Duration = .seconds(366 * 86_400)
}
