extension ReservationService {
    /// How reservations behave.
    public struct Configuration: Sendable {
        /// What to do with a confirmation that comes after the hold is over.
        public enum LateConfirmation: Sendable, Hashable {
            /// Too late is too late: ``ReservationError/Code/holdExpired(at:)``.
            case reject
            /// Takes the units again if they are still there, in the same transaction: the answer is a new, confirmed
            /// reservation.
            case rehold
        }

        /// How long a hold lasts when the request does not say. Default 5 min.
        public var hold: Duration = .seconds(300)
        /// What requests and holders may ask for.
        public var limits = ReservationLimits()
        /// The strategy of items that have none of their own. Default ``Strategy/atomic``.
        public var strategy: Strategy = .atomic
        /// The strategies of items that need another one. A cart with several goes by that of its first bucket.
        public var strategies: [String: Strategy] = [:]
        /// What to do with a confirmation that comes too late. Default ``LateConfirmation/reject``.
        public var lateConfirmation: LateConfirmation = .reject
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
            guard requestRetention >= .seconds(3600), requestRetention <= .seconds(10 * 366 * 86_400) else {
                throw .invalid("/requestRetention", "`requestRetention` must be from 1 h to 10 years.")
            }
        }

        func strategy(for cart: Cart) -> Strategy {
            cart.buckets.first.flatMap { strategies[$0.item] } ?? strategy
        }
    }
}
