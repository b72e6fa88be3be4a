/// A server's clock, which may jump, beside one that does not.
package struct ServerClock {
    private var anchor: (milliseconds: Int64, at: ContinuousClock.Instant)?
    /// When it was seen to have jumped; `nil` for never.
    package private(set) var jumpedAt: ContinuousClock.Instant?

    package init() {}

    /// - Parameter tolerance: what may be due to a slow answer, or to a clock that is set right little by little.
    package mutating func note(_ milliseconds: Int64, at now: ContinuousClock.Instant, tolerance: Duration) {
        if let estimate = estimate(at: now) {
            let difference = Duration.milliseconds(milliseconds - estimate)
            if difference > tolerance || difference < .zero - tolerance { jumpedAt = now }
        }
        anchor = (milliseconds, now)
    }

    /// What it should show; `nil` when it was not looked at lately.
    package func estimate(at now: ContinuousClock.Instant, within age: Duration? = nil) -> Int64? {
        guard let anchor, age.map({ now - anchor.at <= $0 }) ?? true else { return nil }
        return anchor.milliseconds + Int64((now - anchor.at) / .milliseconds(1))
    }

    /// Whether it has not jumped for so long.
    package func isSteady(for duration: Duration, at now: ContinuousClock.Instant) -> Bool {
        jumpedAt.map { now - $0 > duration } ?? true
    }
}

/// Whether this process has been there: those who wait cannot have shown themselves to one that stood still.
struct Attendance {
    private var seenAt: ContinuousClock.Instant
    /// Since when it has been there without a gap.
    private(set) var since: ContinuousClock.Instant

    init(at now: ContinuousClock.Instant) {
        (seenAt, since) = (now, now)
    }

    /// It is there now. It says so about once a second.
    ///
    /// - Parameter gap: how long it may say nothing without having been away.
    mutating func note(at now: ContinuousClock.Instant, gap: Duration) {
        if now - seenAt > gap { since = now }
        seenAt = max(seenAt, now)
    }
}
