extension ReservationService {
    /// How reservations behave.
    public struct Configuration: Sendable {
        /// What to do with a confirmation that comes after the hold is over.
        public enum LateConfirmation: Sendable, Hashable {
            /// Too late is too late: ``ReservationError/Code/holdExpired(at:)``.
            case reject
            /// Takes the units again if they are still there, in the same transaction: the answer is a new, confirmed
            /// reservation. However late: see <doc:States>.
            case rehold
        }

        /// How long a hold lasts when the request does not say. Default 5 min.
        public var hold: Duration = .seconds(300)
        /// What requests and holders may ask for.
        public var limits = ReservationLimits()
        /// The strategy of items that have none of their own. Default ``Strategy/atomic``.
        public var strategy: Strategy = .atomic
        /// The strategies of items that need another one. A cart with several goes by that of its first bucket. Unlike
        /// everywhere else, two spellings of one letter are one item here.
        public var strategies: [String: Strategy] = [:]
        /// What to do with a confirmation that comes too late. Default ``LateConfirmation/reject``.
        public var lateConfirmation: LateConfirmation = .reject
        /// How long a caller waits when an attempt of his may still take effect in the database, so that he gets a final
        /// answer: 0 ... 10 min. When ``ReservationStore/settlingTime`` is longer, the answer is
        /// ``ReservationError/Code/outcomeUnknown`` at once. Only after a connection broke in the middle of a request, and
        /// only for a request that is then refused. Default 20 s.
        public var settlingPatience: Duration = .seconds(20)
        /// How often ``ReservationService/run()`` ends holds whose time is up: 100 ms ... 1 h. Default 1 s.
        public var sweepInterval: Duration = .seconds(1)
        /// How long answers to keyed requests are kept: 1 h ... 10 years. Default 24 h.
        public var requestRetention: Duration = .seconds(86_400)

        /// The defaults.
        public init() {}

        func check() throws(ReservationError) {
            try limits.check()
            guard hold >= limits.minimumHold, hold <= limits.maximumHold else {
                throw .invalid("/hold", "`hold` must be within `limits.minimumHold` and `limits.maximumHold`.")
            }
            guard sweepInterval >= .milliseconds(100), sweepInterval <= .seconds(3600) else {
                throw .invalid("/sweepInterval", "`sweepInterval` must be from 100 ms to 1 h.")
            }
            guard settlingPatience >= .zero, settlingPatience <= .seconds(600) else {
                throw .invalid("/settlingPatience", "`settlingPatience` must be from 0 to 10 min.")
            }
            guard requestRetention >= .seconds(3600), requestRetention <= .seconds(10 * 366 * 86_400) else {
                throw .invalid("/requestRetention", "`requestRetention` must be from 1 h to 10 years.")
            }
        }

        func strategy(for cart: Cart) -> Strategy {
            cart.buckets.first.flatMap { strategies[$0.item] } ?? strategy
        }
    }
}
