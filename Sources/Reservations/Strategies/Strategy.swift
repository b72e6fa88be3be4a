import RedisLocks

/// One of the strategies that come with the module, or one of your own.
public struct Strategy: Sendable {
    /// What it does.
    public let implementation: any ReservationStrategy

    /// A strategy of your own.
    public init(_ implementation: any ReservationStrategy) {
        self.implementation = implementation
    }

    /// Its constant name.
    public var name: String { implementation.name }

    /// One conditional update for each bucket, in one transaction: the default.
    public static var atomic: Strategy { Strategy(AtomicStrategy()) }

    /// Reads versions, and writes only where nothing has changed since.
    ///
    /// - Parameter attempts: how often it is tried when others are faster: 1 ... 100.
    public static func optimistic(attempts: Int = 8) -> Strategy {
        Strategy(OptimisticStrategy(maximumAttempts: min(max(attempts, 1), 100)))
    }

    /// Locks the rows, reads, decides, writes.
    ///
    /// - Parameter lockTimeout: how long to wait for a row, 1 ms ... 1 d; then ``ReservationError/Code/busy(attempts:strategy:)``.
    public static func pessimistic(lockTimeout: Duration = .seconds(2)) -> Strategy {
        Strategy(PessimisticStrategy(lockTimeout: min(max(lockTimeout, .milliseconds(1)), .seconds(86_400))))
    }

    /// Takes the distributed locks of all buckets, then writes under their fencing token.
    ///
    /// A cart may have as many buckets as `RedisLocks.Configuration.maximumNamesPerLock` allows (16 by default); larger ones
    /// are refused with ``ReservationError/Code/invalidRequest(_:)``.
    ///
    /// - Parameters:
    ///   - locks: the lock client.
    ///   - options: how long to hold and to wait, and what to do without Redis.
    public static func locked(_ locks: RedisLocks, options: LockOptions = LockOptions()) -> Strategy {
        Strategy(LockedStrategy(locks: locks, options: options))
    }

    /// How ``locked(_:options:)`` uses the lock.
    public struct LockOptions: Sendable {
        /// What to do when the lock cannot be had because Redis is away. A lock that somebody else has, or a name or a setting
        /// that Redis locks refuse, is no such case: the claim fails whatever stands here.
        public enum Unavailability: Sendable, Hashable {
            /// The claim fails with ``ReservationError/Code/unavailable`` and advice when to try again.
            case failClosed
            /// The claim goes to the store with ``Strategy/atomic``. Still no oversell: the lock was for efficiency and order.
            case fallback
        }

        /// How long a crashed process blocks the buckets. Default 5 s.
        public var ttl: Duration = .seconds(5)
        /// How long to wait for the locks. Default 5 s.
        public var wait: Wait = .upTo(.seconds(5))
        /// What to do without Redis. Default ``Unavailability/failClosed``.
        public var whenUnavailable: Unavailability = .failClosed
        /// Put before the name of each bucket's lock. Default `rsv:`.
        public var prefix = "rsv:"

        /// The defaults.
        public init() {}
    }
}

extension Strategy {
    /// Lets requests wait for their turn in a line; see ``WaitingLine``, which must run beside the service and have the same
    /// store.
    public static func queued(_ line: WaitingLine) -> Strategy {
        Strategy(QueuedStrategy(line: line))
    }
}
