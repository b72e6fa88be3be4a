/// How long to wait for a lock that somebody else holds. Never infinite by accident: there is always a number.
public struct Wait: Sendable, Hashable {
    package let budget: Duration

    /// Waits for at most `duration`. It also bounds how long an unreachable node is waited for.
    public static func upTo(_ duration: Duration) -> Wait {
        Wait(budget: max(duration, .zero))
    }
}
