/// The Redis servers that a lock lives on.
///
/// Every process that locks the same names must name the same servers, in any order: majorities of different sets need not
/// meet. To replace a server, see <doc:Operations>.
public struct LockNodes: Sendable, Hashable {
    /// One Redis master.
    public struct Node: Sendable, Hashable {
        package let url: String
        package let isDurable: Bool

        /// Names a server, and says whether it keeps what it acknowledged. All processes must say the same of it.
        ///
        /// - Parameters:
        ///   - url: `redis://[user[:password]@]host[:port][/db]` or `unix:///path/to/socket`.
        ///   - isDurable: the server runs with `appendonly yes` and `appendfsync always`, on a disk that honours it. A restart
        ///     then costs no quarantine. A server without an append-only file is refused; that it writes always cannot be
        ///     checked without further permissions. Restoring a backup of it requires deleting `redis-locks:boot` first.
        public init(_ url: String, isDurable: Bool = false) {
            self.url = url
            self.isDurable = isDurable
        }
    }

    package let nodes: [Node]
    private let isQuorum: Bool

    /// How many servers there may be.
    package static let maximumCount = 9

    /// One Redis master. A single-node lock is a quorum of one.
    ///
    /// - Parameters:
    ///   - url: `redis://[user[:password]@]host[:port][/db]` or `unix:///path/to/socket`.
    ///   - isDurable: see ``Node/init(_:isDurable:)``.
    public static func node(_ url: String, isDurable: Bool = false) -> LockNodes {
        LockNodes(nodes: [Node(url, isDurable: isDurable)], isQuorum: false)
    }

    /// Independent Redis masters, of which a majority must grant a lock: Redlock, with fencing tokens.
    ///
    /// See "Distributed Locks with Redis" in the Redis documentation, and <doc:Quorum> for what this library adds. The
    /// masters replicate nothing to one another and to nobody else, and fail independently: different machines, different
    /// racks. With 3 of them one may be down, with 5 two. An even number is allowed and gains nothing: 4 tolerate one
    /// failure as 3 do, and a split vote is likelier.
    ///
    /// New servers do not vote for about ``RedisLocks/Configuration/maximumTTL``, unless
    /// ``RedisLocks/initializeNodes(force:)`` has told them that they are new: see
    /// ``RedisLocks/Configuration/restartGuard-swift.property``.
    ///
    /// - Parameter urls: 2 to 9 different servers; ``RedisLocks/init(_:configuration:logger:)`` refuses anything else.
    public static func redlock(_ urls: [String]) -> LockNodes {
        LockNodes(nodes: urls.map { Node($0) }, isQuorum: true)
    }

    /// As ``redlock(_:)-([String])``, where some of the servers are durable.
    public static func redlock(_ nodes: [Node]) -> LockNodes {
        LockNodes(nodes: nodes, isQuorum: true)
    }

    /// Refuses what is no set of independent servers, as far as that can be seen without asking them.
    package func check() throws(LockError) {
        guard !nodes.isEmpty else { throw LockError(.misconfigured, "No lock node was given; name at least one URL.") }
        // A list that has shrunk to one would lose its restart guard without a word.
        guard !isQuorum || nodes.count > 1 else {
            throw LockError(
                .misconfigured, "A quorum of one server was asked for; name 2 to 9 of them, or use `.node` for one.")
        }
        guard nodes.count <= Self.maximumCount else {
            throw LockError(
                .misconfigured,
                "\(nodes.count) lock nodes were given; \(Self.maximumCount) are the most, and 3 or 5 are what is recommended."
            )
        }
    }
}
