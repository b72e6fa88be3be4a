/// Many virtual buyers who want the same at the same time.
package struct RushPlan: Sendable {
    /// Where the service is.
    package var url: String
    /// A counted item that nobody else wants meanwhile.
    package var item: String
    /// How many units are added before; 0 to take what is there. More than 0 needs the token.
    package var units = 1_000
    package var buyers = 20_000
    /// Over how long they come.
    package var seconds = 10.0
    /// How many of 100 send their request twice at once.
    package var duplicatePercent = 5.0
    /// 40 of 100 confirm, 30 cancel and 30 let their hold end; else all confirm.
    package var isLifecycle = false
    package var adminToken: String?
    /// How long a buyer tries again for when the service is busy.
    package var patience: Duration = .seconds(30)
    /// How long a buyer waits in a line.
    package var linePatience: Duration = .seconds(300)
    /// How many may be on their way at once; who comes when there are so many is dropped, and counted.
    package var maximumOutstanding = 8_192

    package init(url: String, item: String) {
        self.url = url
        self.item = item
    }
}

/// What came of a rush. The first three must be 0.
package struct RushResult: Sendable {
    /// More sold than there was.
    package var oversell = 0
    /// Confirmed by the service, and not there afterwards.
    package var lost = 0
    /// Two reservations for one request, or sales that nobody was told of.
    package var duplicates = 0
    /// What the guarantee check found; `nil` without a token.
    package var findings: Int?
    /// Holds that were still there long after their time.
    package var stuck = 0
    /// Holds that were there at the end: their buyers gave up, or left them to expire.
    package var stillHeld = 0

    package var offered = 0
    package var confirmed = 0
    package var cancelled = 0
    package var leftToExpire = 0
    package var soldOut = 0
    package var gaveUp: [String: Int] = [:]
    package var retries = 0
    /// Sent twice, and answered as one.
    package var repeated = 0
    package var droppedByGenerator = 0
    package var capacity = 0
    package var available = 0
    package var accepted = Latencies()
    package var rejected = Latencies()
    package var duration: Duration = .zero

    package init() {}

    package var isClean: Bool { oversell == 0 && lost == 0 && duplicates == 0 && stuck == 0 && (findings ?? 0) == 0 }
}

/// Milliseconds, each counted from when the buyer came and not from when there was time to send.
package struct Latencies: Sendable {
    private var values: [Double] = []

    package init() {}

    package mutating func add(_ duration: Duration) { values.append(duration / .milliseconds(1)) }

    package var count: Int { values.count }

    package func percentile(_ percent: Double) -> Double? {
        guard !values.isEmpty else { return nil }
        let sorted = values.sorted()
        return sorted[min(sorted.count - 1, Int((percent / 100 * Double(sorted.count)).rounded(.up)) - 1)]
    }
}

/// How far a rush has come.
package struct RushProgress: Sendable {
    package var arrived = 0
    package var held = 0
    package var confirmed = 0
    package var soldOut = 0
    package var waiting = 0
    package var retries = 0
    package var elapsed: Duration = .zero

    package init() {}

    package var line: String {
        "\(elapsed.tenths) s  \(arrived) buyers came, \(held) held, \(confirmed) confirmed, \(soldOut) sold out, "
            + "\(waiting) waiting, \(retries) retries"
    }
}

extension Duration {
    /// Seconds with one decimal.
    package var tenths: String {
        let tenths = Int((self / .milliseconds(100)).rounded())
        return "\(tenths / 10).\(tenths % 10)"
    }
}
