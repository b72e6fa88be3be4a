extension RedisLocks {
    /// How locks behave. Every default is sound with every other; a combination that is not is refused by
    /// ``RedisLocks/init(_:configuration:logger:)`` with a sentence that says what to change.
    public struct Configuration: Sendable {
        /// How long a lease lasts without renewal: 100 ms ... ``maximumTTL``. Default 10 s.
        ///
        /// It is renewed every third of this, so it bounds how long a crashed holder blocks others, not how long
        /// a body may run.
        public var ttl: Duration = .seconds(10)

        /// The greatest ttl that any process of the fleet uses, at most 1 day; a larger one is refused. Default 60 s. One
        /// value for the whole fleet: it sizes how long a node that lost its memory does not vote, see
        /// ``restartGuard-swift.property``.
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

        /// Whether a node that may have forgotten what it granted abstains until all of it has expired. Default
        /// ``RestartGuard-swift.enum/automatic``.
        public var restartGuard: RestartGuard = .automatic

        /// When a node abstains because it may have forgotten locks that are still held.
        ///
        /// A small record on each node (`redis-locks:boot`: the server's run_id and a time) tells a restart, an emptied or
        /// replaced server, and a clock that fell behind. Such a node does not vote for
        /// ``maximumTTL`` x (1 + ``driftFactor``) + 2 s; then all that it may have granted has expired. This is the "delayed
        /// restart" that the Redis documentation of distributed locks asks for. The whole fleet must agree on it.
        public enum RestartGuard: Sendable, Hashable {
            /// On with several nodes, off with one: a lone node that abstains would stop everything.
            case automatic
            /// On, also with one node.
            case on
            /// Off. A node that restarts without its data may grant what somebody holds; and with several nodes even with the
            /// same token, if it votes again within a second plus the difference of the nodes' clocks.
            case unsafeOff
        }

        /// With three nodes or more: a node whose clock is further than this from the median of the nodes' clocks does not
        /// vote. 10 ms ... 1 s. Default 1 s, which is what the restart guard allows for.
        ///
        /// Clocks are compared by the times in earlier answers; no decision waits for a comparison.
        public var maximumClockSkew: Duration = .seconds(1)

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
