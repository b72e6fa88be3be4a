/// One look at a server's wall clock.
package struct ClockReading: Sendable, Equatable {
    /// What `TIME` answered.
    package var server: Int64
    /// Our clock before the request left.
    package var sent: ContinuousClock.Instant
    /// Our clock when the answer was there.
    package var received: ContinuousClock.Instant

    package init(server: Int64, sent: ContinuousClock.Instant, received: ContinuousClock.Instant) {
        self.server = server
        self.sent = sent
        self.received = received
    }
}

/// What is known about the clocks of the nodes, by which they expire keys and anchor tokens.
///
/// A node read its clock at some instant between our request and its answer, so its offset to our clock lies in an
/// interval. Only what the intervals prove counts: a slow answer widens an interval and never accuses anybody. Offsets are
/// kept from earlier answers, so nobody is waited for.
package struct ClockWatch {
    /// Microseconds of a node's clock minus those of ours.
    private struct Offset {
        var low: Int64
        var high: Int64
        var at: ContinuousClock.Instant
    }

    /// A jump that was proven.
    private struct Step {
        var size: Duration
        var at: ContinuousClock.Instant
    }

    private let maximumSkew: Duration
    private let driftFactor: Double
    /// How long a clock that stepped is distrusted: as long as a lease may live that was granted before.
    private let memory: Duration
    private let majority: Int
    private let origin: ContinuousClock.Instant
    private var offsets: [Offset?]
    private var steps: [Step?]

    /// With fewer nodes there is nobody to compare with: of two clocks that differ, either may be right.
    package static let fewestNodes = 3

    package init(
        nodes: Int, maximumSkew: Duration, driftFactor: Double, memory: Duration, origin: ContinuousClock.Instant
    ) {
        self.maximumSkew = maximumSkew
        self.driftFactor = driftFactor
        self.memory = memory
        self.origin = origin
        majority = nodes / 2 + 1
        offsets = Array(repeating: nil, count: nodes)
        steps = Array(repeating: nil, count: nodes)
    }

    /// Notes an answer. Returns by how much the node's clock has certainly jumped since its answer before, against ours and
    /// beyond what drift explains; zero when it has not.
    @discardableResult
    package mutating func observe(_ reading: ClockReading, of node: Int) -> Duration {
        let new = Offset(
            low: reading.server - microseconds(reading.received), high: reading.server - microseconds(reading.sent),
            at: reading.received)
        guard let old = offsets[node] else {
            offsets[node] = new
            return .zero
        }
        guard new.at >= old.at else { return .zero }
        offsets[node] = new
        let drifted = drift(between: old.at, and: new.at)
        let size = Duration.microseconds(max(0, new.low - old.high - drifted, old.low - new.high - drifted))
        if size > .zero {
            let before = steps[node].map { $0.at + memory > new.at ? $0.size : .zero } ?? .zero
            steps[node] = Step(size: max(size, before), at: new.at)
        }
        return size
    }

    /// How far the node's clock is certainly off the others' median, if that is too far for its vote to count.
    package func skew(of node: Int) -> Duration? {
        guard offsets.count >= Self.fewestNodes, let own = offsets[node] else { return nil }
        let known = offsets.compactMap(\.self)
        guard known.count >= Self.fewestNodes else { return nil }
        // Our own clock drifts, too: what was measured at another time has moved since, as much as drift allows.
        let low = Self.median(known.map { $0.low - drift(between: $0.at, and: own.at) })
        let high = Self.median(known.map { $0.high + drift(between: $0.at, and: own.at) })
        let distance = Duration.microseconds(max(0, own.low - high, low - own.high))
        return distance > maximumSkew ? distance : nil
    }

    /// By how much the node's clock has jumped within the life of leases that may still be out, if that is more than
    /// `drift`, the tolerance of the lease that is asked for: it may have let another holder's key expire early.
    ///
    /// When a majority has jumped it is as likely our own clock that did, and there is no telling: nobody is accused.
    package func step(of node: Int, beyond drift: Duration, at now: ContinuousClock.Instant) -> Duration? {
        guard let own = step(of: node, beyond: drift, since: now - memory) else { return nil }
        let jumped = offsets.indices.count { step(of: $0, beyond: drift, since: now - memory) != nil }
        return jumped < majority ? own : nil
    }

    /// By how much the node's clock, or ours, has jumped since then, if that is more than `drift`.
    package func step(of node: Int, beyond drift: Duration, since start: ContinuousClock.Instant) -> Duration? {
        guard offsets.count >= Self.fewestNodes, let step = steps[node] else { return nil }
        return step.at >= start && step.size > drift ? step.size : nil
    }

    /// How many microseconds a clock may run away from ours in that time.
    private func drift(between first: ContinuousClock.Instant, and second: ContinuousClock.Instant) -> Int64 {
        Int64((driftFactor * Double(abs((second - first).inMicroseconds))).rounded(.up))
    }

    private func microseconds(_ instant: ContinuousClock.Instant) -> Int64 {
        (instant - origin).inMicroseconds
    }

    /// Of an even number the lower one of the middle.
    private static func median(_ values: [Int64]) -> Int64 {
        values.sorted()[(values.count - 1) / 2]
    }
}

extension Duration {
    /// Rounded down.
    fileprivate var inMicroseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1_000_000 + attoseconds / 1_000_000_000_000
    }
}
