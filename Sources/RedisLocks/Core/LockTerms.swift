/// One lock's checked settings: everything that an attempt, an extension and a lease need to know about time.
package struct LockTerms: Sendable, Equatable {
    package var names: [LockName]
    package var ttl: Duration
    package var drift: Duration
    package var minimumValidity: Duration
    package var nodeTimeout: Duration
    package var earlyWarning: Duration
    package var maximumHold: Duration?
    package var counterExpiry: Duration
    package var granularityMicroseconds: Int64
    /// How long a node abstains that may have forgotten what it granted; `nil` when the restart guard is off.
    package var guardTime: Duration?

    /// Renewal is tried after this much of the ttl, give or take a tenth of it.
    package var renewalInterval: Duration { ttl / 3 }

    package var nameStrings: [String] { names.map(\.string) }

    /// The local end of validity of a lease whose successful attempt began at `start`.
    package func deadline(from start: ContinuousClock.Instant) -> ContinuousClock.Instant {
        Mutant.isOn(.driftSign) ? start + ttl + drift : start + ttl - drift
    }
}
