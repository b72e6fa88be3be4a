extension RedisLocks {
    /// How locks behave. Every default is sound with every other; a combination that is not is refused by
    /// ``RedisLocks/init(_:configuration:logger:)`` with a sentence that says what to change.
    public struct Configuration: Sendable {
        /// How long a lease lasts without renewal: 100 ms ... ``maximumTTL``. Default 10 s.
        ///
        /// It is renewed every third of this, so it bounds how long a crashed holder blocks others, not how long
        /// a body may run.
        public var ttl: Duration = .seconds(10)

        /// The greatest ttl that any process of the fleet uses, at most 1 day. Default 60 s. One value for the whole fleet: it sizes how
        /// long a node that lost its memory must not vote.
        public var maximumTTL: Duration = .seconds(60)

        /// How long an acquire waits by default. Default 30 s.
        public var wait: Wait = .upTo(.seconds(30))

        /// How far a node's clock may run away from ours within a ttl, as a part of it: 0 ... 0.1. Default 0.01.
        ///
        /// 2 ms are added for the millisecond grain of Redis' expiry. chrony slews by up to 8.3 % unless `maxslewrate`
        /// is limited: limit it, or set 0.09 here.
        public var driftFactor: Double = 0.01

        /// A lease with less validity than this is not handed out: more than 0, less than ttl - drift.
        /// `nil`, the default, is half of the ttl.
        public var minimumValidity: Duration?

        /// How long one request to one node may take. `nil`, the default, is a twentieth of the ttl, at least 50 ms, at most
        /// 1 s and at most a quarter of the ttl. Must be less than ``minimumValidity`` and than a third of the ttl.
        public var nodeTimeout: Duration?

        /// The longest that a lease is held, renewals included; then it is lost: ttl ... 1 year. `nil` means no limit.
        /// Default 1 h.
        public var maximumHold: Duration? = .seconds(3600)

        /// A holder is warned when this much of its lease remains. `nil`, the default, is a third of the ttl, which is
        /// reached when two renewals in a row have failed or are late.
        public var earlyWarning: Duration?

        /// How long an idle fencing counter is kept: at least 1 day. Default 7 days. Every extension renews it.
        public var counterExpiry: Duration = .seconds(7 * 86_400)

        /// How many tasks of this process may wait for locks at the same time: 1 ... 1,000,000. Default 10,000.
        public var maximumWaiters = 10_000

        /// How many names one lock may cover: 1 ... 128. Default 16.
        public var maximumNamesPerLock = 16

        /// How long a connection attempt may take, name resolution and log-in included: 10 ms ... 60 s. Default 2 s.
        public var connectTimeout: Duration = .seconds(2)

        /// How long ``RedisLocks/shutdown()`` waits for cancelled bodies to end: 0 ... 1 h. Default 5 s.
        public var shutdownGrace: Duration = .seconds(5)

        /// What the server lists in `CLIENT LIST`. No spaces. Default `redis-locks`.
        public var clientName = "redis-locks"

        /// Allows a password to be sent without encryption to a host that is not this machine. Default `false`.
        public var unsafeAllowPlaintextPasswords = false

        /// Accepts a server with a memory limit that may evict keys. Locks *and* fencing counters then vanish silently, and
        /// two holders get the same token. Default `false`: such a server is refused.
        public var unsafeAllowEviction = false

        /// The defaults.
        public init() {}
    }
}
