#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// The one clock of a history, in nanoseconds.
package struct HistoryClock: Sendable {
    private let currentInstant: @Sendable () -> Int64
    private let conversion: @Sendable (ContinuousClock.Instant) -> Int64

    /// - Parameters:
    ///   - now: the time.
    ///   - nanoseconds: the time at an instant of the clock that leases are measured on.
    package init(
        now: @escaping @Sendable () -> Int64, nanoseconds: @escaping @Sendable (ContinuousClock.Instant) -> Int64
    ) {
        currentInstant = now
        conversion = nanoseconds
    }

    /// A clock that tells instants and counts from `origin`, such as one that is moved by hand.
    package init(origin: ContinuousClock.Instant, now: @escaping @Sendable () -> ContinuousClock.Instant) {
        self.init(
            now: { (now() - origin).historyNanoseconds }, nanoseconds: { ($0 - origin).historyNanoseconds })
    }

    package var now: Int64 { currentInstant() }

    package func nanoseconds(_ instant: ContinuousClock.Instant) -> Int64 { conversion(instant) }

    /// The clock below `ContinuousClock`: `CLOCK_BOOTTIME` on Linux, `CLOCK_MONOTONIC_RAW` on Darwin.
    ///
    /// It counts from the start of the machine, for all of its processes: what they record can be compared. (Not across
    /// time namespaces.) `ContinuousClock` hides its epoch from older standard libraries; it is found once per process, to
    /// within a few microseconds, so deadlines are that exact, and instants of ``now`` are exact.
    package static let system = HistoryClock(
        now: systemNanoseconds,
        nanoseconds: { (($0 - systemEpoch.instant).historyNanoseconds) + systemEpoch.nanoseconds })

    /// One instant on both clocks: of several readings that with the least time around it.
    private static let systemEpoch: (instant: ContinuousClock.Instant, nanoseconds: Int64) = {
        var best = reading()
        for _ in 0..<32 {
            let next = reading()
            if next.width < best.width { best = next }
        }
        return (best.instant, best.nanoseconds)
    }()

    private static func reading() -> (instant: ContinuousClock.Instant, nanoseconds: Int64, width: Int64) {
        let before = systemNanoseconds()
        let instant = ContinuousClock.now
        let width = systemNanoseconds() - before
        return (instant, before + width / 2, width)
    }

    @Sendable private static func systemNanoseconds() -> Int64 {
        var time = timespec()
        #if canImport(Darwin)
            let result = clock_gettime(CLOCK_MONOTONIC_RAW, &time)
        #else
            let result = clock_gettime(CLOCK_BOOTTIME, &time)
        #endif
        precondition(result == 0, "The system has no clock that ContinuousClock could be read from.")
        return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
    }
}

extension Duration {
    /// Without what is less than a nanosecond; good for 292 years.
    fileprivate var historyNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
    }
}
