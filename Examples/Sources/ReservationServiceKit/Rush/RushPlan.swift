/// Many virtual buyers who want the same at the same time.
package struct RushPlan: Sendable {
    /// Where the service is. Several processes of it get the buyers in turn, and whoever gets no answer from one asks the next.
    package var urls: [String]
    /// A counted item that nobody else wants meanwhile.
    package var item: String
    /// How many units are added before; 0 to take what is there. More than 0 needs the token.
    package var units = 1_000
    package var buyers = 20_000
    /// Over how long they come.
    package var seconds = 10.0
    /// How many of 100 send their request twice: half of them at once, the others when they have been answered.
    package var duplicatePercent = 5.0
    /// 40 of 100 confirm, 30 cancel and 30 let their hold end; else all confirm.
    package var isLifecycle = false
    /// How long a hold of a lifecycle lasts: long enough to confirm, short enough to wait for. In whole seconds.
    package var hold: Duration = .seconds(5)
    package var adminToken: String?
    /// How long a buyer tries again for when the service is busy. Whoever has no answer then asks once more in the end.
    package var patience: Duration = .seconds(30)
    /// How long one answer is waited for.
    package var answerTime: Duration = .seconds(40)
    /// How long a buyer waits in a line.
    package var linePatience: Duration = .seconds(300)
    /// How many may be on their way at once; who comes when there are so many is dropped, and counted.
    package var maximumOutstanding = 8_192

    package init(urls: [String], item: String) {
        self.urls = urls
        self.item = item
    }

    package init(url: String, item: String) { self.init(urls: [url], item: item) }
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
