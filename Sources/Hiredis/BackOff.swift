/// How long to wait before the next attempt: exponential, with full jitter, so that a fleet that lost its server together
/// does not come back together.
struct BackOff {
    private let base: Duration
    private let ceiling: Duration
    private(set) var failures = 0

    init(base: Duration, ceiling: Duration) {
        self.base = base
        self.ceiling = ceiling
    }

    /// Counts a failure and tells the wait: uniform from zero to the base doubled per failure before, ceiling at most.
    mutating func next(using generator: inout some RandomNumberGenerator) -> Duration {
        let doublings = min(failures, 30)
        failures += 1
        let bound = min(base * (1 << doublings), ceiling)
        return bound * Double.random(in: 0...1, using: &generator)
    }

    mutating func reset() {
        failures = 0
    }
}
