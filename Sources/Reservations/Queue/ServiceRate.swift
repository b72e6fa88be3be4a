/// How fast a partition is served, from what its owner announces.
package struct ServiceRate: Sendable {
    /// Moving averages of the time that one request takes, and of how far that is off.
    private var mean = 0.0
    private var deviation = 0.0
    private var samples = 0
    /// The same of batches that others were behind. A lone request pays for a whole transaction: from that nothing can be told
    /// of a rush.
    private var loaded = 0.0
    private var loadedSamples = 0

    /// What one batch is worth. About the last twenty count.
    private static let weight = 0.1
    /// Fewer tell nothing.
    private static let enough = 20

    package init() {}

    package mutating func note(decided: Int, took: Duration, isLoaded: Bool) {
        guard decided > 0, took > .zero else { return }
        let seconds = took / .seconds(1) / Double(decided)
        if isLoaded {
            loaded = loadedSamples == 0 ? seconds : loaded + Self.weight * (seconds - loaded)
            loadedSamples += 1
        }
        if samples == 0 {
            mean = seconds
            deviation = seconds / 2
        } else {
            let error = seconds - mean
            mean += Self.weight * error
            deviation += Self.weight * (abs(error) - deviation)
        }
        samples += 1
    }

    /// How long one request takes when many wait; `nil` until enough is known.
    package var serviceTime: Duration? {
        loadedSamples < Self.enough ? nil : .seconds(loaded)
    }

    /// When the one at this position has its answer: likely, and almost certainly if nothing changes. `nil` until enough is
    /// known.
    package func estimate(position: Int64) -> ClosedRange<Duration>? {
        guard samples >= Self.enough else { return nil }
        let likely = mean * Double(position)
        // The 90th percentile of a normal distribution, whose standard deviation is 1.25 times its mean deviation.
        let late = (mean + 1.28 * 1.25 * deviation) * Double(position)
        return .seconds(likely)...(.seconds(max(likely, late)))
    }
}
