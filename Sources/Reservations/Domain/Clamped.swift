/// Sums of numbers that came from outside (a store, a decoder): what is beyond an `Int` becomes the nearest that is not.
extension Int {
    func addingClamped(_ other: Int) -> Int {
        let (sum, isBeyond) = addingReportingOverflow(other)
        return isBeyond ? (other < 0 ? .min : .max) : sum
    }

    func subtractingClamped(_ other: Int) -> Int {
        let (difference, isBeyond) = subtractingReportingOverflow(other)
        return isBeyond ? (other < 0 ? .max : .min) : difference
    }
}

extension Duration {
    /// From a difference of times that a store has told; 0 for what is past or no number, at most 30,000 years.
    init(clampingSeconds seconds: Double) {
        self = seconds > 0 ? .seconds(min(seconds, 1e12)) : .zero
    }
}
