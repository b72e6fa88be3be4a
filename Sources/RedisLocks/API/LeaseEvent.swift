/// What happens to a lease while it is held.
public enum LeaseEvent: Sendable, Hashable {
    /// It was renewed, and is valid until `deadline` now.
    case renewed(deadline: ContinuousClock.Instant)
    /// Renewals are late or failing: only `remaining` is left, see ``RedisLocks/Configuration/earlyWarning``.
    case atRisk(remaining: Duration)
    /// It was lost: stop writing.
    case lost(LeaseLossReason)
}
