extension WaitingLine {
    /// How a waiting line behaves. All processes that share a store and a queue need the same ``partitions``.
    public struct Configuration: Sendable {
        /// How many lines there are beside each other: 1 ... 1,024. Default 8. Each item belongs to one, and each line has one
        /// owner at a time: items of different lines are decided at the same time. The store keeps the number.
        public var partitions = 8
        /// Whether this process owns lines, or only lets others wait in them. Default `true`. At least one process must.
        public var ownsPartitions = true
        /// How many may wait in one line: 1 ... 10,000,000. Default 100,000.
        public var maximumWaiting = 100_000
        /// How many requests of one caller may wait: 1 ... 100,000. Default 10.
        public var maximumWaitingPerCaller = 10
        /// Who would wait for longer than this, as things go, is refused at once: 1 s ... 1 day. Default 10 min. Also how long
        /// ``ReservationService/reserve(_:for:ttl:key:)`` waits.
        public var maximumWait: Duration = .seconds(600)
        /// Who was silent for this long is skipped when his turn comes: 5 s ... 1 day, or `nil` for never. Default 60 s. A
        /// task that waits for its ticket is not silent while its process runs and reaches the queue; who asks for the
        /// ticket's status is not while he does. A process that stands still or is cut off for this long is silent.
        public var silence: Duration? = .seconds(60)
        /// The most requests that are decided in one transaction: 1 ... 500. Default 250. Fewer wait: fewer are taken; it takes
        /// longer than ``batchTime``: fewer are taken.
        public var maximumBatch = 250
        /// How long a transaction should take at most: 5 ms ... 5 s. Default 100 ms.
        public var batchTime: Duration = .milliseconds(100)
        /// How long a line stands still when its owner crashes: 500 ms ... 60 s. Default 5 s.
        public var ownerTTL: Duration = .seconds(5)
        /// A request that was accepted this long ago and is not in the queue is put there again: 1 s ... 1 h. Default 5 s.
        public var intakeGrace: Duration = .seconds(5)
        /// Put before the name of each line's lock. Default `rsv:line:`.
        public var lockPrefix = "rsv:line:"

        /// The defaults.
        public init() {}

        func check() throws(ReservationError) {
            try require((1...1_024).contains(partitions), "partitions", "from 1 to 1,024")
            try require((1...10_000_000).contains(maximumWaiting), "maximumWaiting", "from 1 to 10,000,000")
            try require((1...100_000).contains(maximumWaitingPerCaller), "maximumWaitingPerCaller", "from 1 to 100,000")
            try require(within(maximumWait, .seconds(1), .seconds(86_400)), "maximumWait", "from 1 s to 1 day")
            if let silence {
                try require(within(silence, .seconds(5), .seconds(86_400)), "silence", "from 5 s to 1 day, or nil")
            }
            try require((1...500).contains(maximumBatch), "maximumBatch", "from 1 to 500")
            try require(within(batchTime, .milliseconds(5), .seconds(5)), "batchTime", "from 5 ms to 5 s")
            try require(within(ownerTTL, .milliseconds(500), .seconds(60)), "ownerTTL", "from 500 ms to 60 s")
            try require(within(intakeGrace, .seconds(1), .seconds(3_600)), "intakeGrace", "from 1 s to 1 h")
        }

        private func within(_ value: Duration, _ least: Duration, _ most: Duration) -> Bool {
            value >= least && value <= most
        }

        private func require(_ condition: Bool, _ name: String, _ range: String) throws(ReservationError) {
            guard condition else { throw .invalid("/\(name)", "`\(name)` must be \(range).") }
        }
    }
}
