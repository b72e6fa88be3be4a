/// A clock that runs at a rate of its own, in nanoseconds of true time and of its own.
struct SimulatedClock {
    private var trueBase: Int64 = 0
    private var base: Int64
    /// How many parts in a million it is fast.
    private(set) var fastness: Int64

    init(offset: Int64 = 0, fastness: Int64) {
        base = offset
        self.fastness = fastness
    }

    func reading(at instant: Int64) -> Int64 {
        base + (instant - trueBase) &* (1_000_000 + fastness) / 1_000_000
    }

    /// The first true instant at which it reads `reading` or later, if nobody touches it until then.
    func instant(of reading: Int64) -> Int64 {
        var instant = trueBase + (reading - base) &* 1_000_000 / (1_000_000 + fastness)
        while self.reading(at: instant) < reading { instant += 1 }
        return instant
    }

    mutating func step(by amount: Int64, at instant: Int64) {
        base = reading(at: instant) + amount
        trueBase = instant
    }

    mutating func setFastness(_ fastness: Int64, at instant: Int64) {
        step(by: 0, at: instant)
        self.fastness = fastness
    }
}

/// Instants of a simulated client's clock as the engine knows them.
enum SimulationTime {
    /// Only differences to it are ever looked at.
    private static let origin = ContinuousClock.now

    static func instant(_ nanoseconds: Int64) -> ContinuousClock.Instant {
        origin.advanced(by: .nanoseconds(nanoseconds))
    }

    /// Rounded up, so that no timer goes off early.
    static func nanoseconds(_ instant: ContinuousClock.Instant) -> Int64 {
        let (seconds, attoseconds) = (instant - origin).components
        return seconds * 1_000_000_000 + (attoseconds + 999_999_999) / 1_000_000_000
    }
}
