/// What came of a rush. What ``isClean`` names must be 0.
package struct RushResult: Sendable {
    /// More sold than there was.
    package var oversell = 0
    /// What the service had said, and was not so afterwards: a reservation that is not there, or in another state.
    package var lost = 0
    /// Two reservations for one request, or reservations that nobody was told of.
    package var duplicates = 0
    /// What the guarantee check found; `nil` without a token.
    package var findings: Int?
    /// Holds that were still there long after their time.
    package var stuck = 0
    /// Requests that had no answer for good, however often they were sent.
    package var unanswered = 0
    /// By how much the book does not add up: every hold ends as sold, released or expired. Without a token it is not read.
    package var unaccounted = 0
    /// The item's book over the rush; `nil` without a token.
    package var book: RushLedger?

    /// Holds that were there at the end: their buyers left them to expire.
    package var stillHeld = 0
    package var strategy = ""
    package var offered = 0
    package var confirmed = 0
    package var cancelled = 0
    package var leftToExpire = 0
    /// Holds whose time was over before their buyers could decide.
    package var overtaken = 0
    package var soldOut = 0
    /// Other refusals, by their code.
    package var gaveUp: [String: Int] = [:]
    package var retries = 0
    /// Buyers whose patience was over before they had an answer, and who got it when they asked again in the end.
    package var answeredLate = 0
    /// Requests that were sent twice while the buyers came.
    package var sentTwice = 0
    /// Those of them that had a reservation, the same both times.
    package var repeated = 0
    /// Requests that were sent again in the end, and had the same answer.
    package var confirmedByRepetition = 0
    package var droppedByGenerator = 0
    package var capacity = 0
    package var available = 0
    package var accepted = Latencies()
    package var rejected = Latencies()
    /// From the first buyer until the last was answered.
    package var duration: Duration = .zero

    package init() {}

    package var isClean: Bool {
        [oversell, lost, duplicates, stuck, unanswered, unaccounted, findings ?? 0].allSatisfy { $0 == 0 }
    }

    /// Everybody who was not dropped has come to one end.
    package var ended: Int {
        confirmed + cancelled + leftToExpire + overtaken + soldOut + gaveUp.values.reduce(0, +) + unanswered
    }

    /// Every hold has one end, and there are as many of each kind as buyers were told of; where somebody had no answer, more.
    ///
    /// - Parameter told: how many buyers were told of a hold.
    package mutating func compare(with ledger: RushLedger, told: Int) {
        book = ledger
        unaccounted = abs(ledger.held - ledger.confirmed - ledger.cancelled - ledger.expired - stillHeld)
        unaccounted += max(0, abs(ledger.cancelled - cancelled) - unanswered)
        lost += max(0, told - ledger.held)
        duplicates += max(0, ledger.held - told - unanswered)
    }
}

/// What the item's book says of a rush, in units.
package struct RushLedger: Sendable, Equatable {
    package var held = 0
    package var confirmed = 0
    package var cancelled = 0
    package var expired = 0

    package init(held: Int = 0, confirmed: Int = 0, cancelled: Int = 0, expired: Int = 0) {
        (self.held, self.confirmed, self.cancelled, self.expired) = (held, confirmed, cancelled, expired)
    }
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
