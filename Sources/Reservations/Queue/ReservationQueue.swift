/// Where requests wait for their turn: an append-only log in partitions, which any number of processes write to and one owner
/// at a time reads.
///
/// ``RedisStreamQueue`` is one; RabbitMQ streams, Kafka or a table would do as well. The queue keeps the order, and nothing
/// else: what was asked and what became of it is in the store, and so is the position up to which a partition was served. A
/// queue that loses entries costs order and time, never a request; one that has an entry twice costs nothing at all.
public protocol ReservationQueue: Sendable {
    /// Appends entries to a partition, in their order, and makes their requests' presence known.
    func append(_ requests: [RequestName], to partition: Int) async throws(QueueError)

    /// At most `limit` entries behind a position, in their order. Waits up to `wait` for the first one; what is there already
    /// is answered at once.
    ///
    /// One call at a time for each partition.
    func read(
        _ partition: Int, after position: QueuePosition, limit: Int, wait: Duration
    ) async throws(QueueError) -> [QueueEntry]

    /// Where the last entry of a partition stands or stood; `nil` when there has never been one, or it was forgotten.
    func lastPosition(of partition: Int) async throws(QueueError) -> QueuePosition?

    /// Forgets entries that had their turn, with all that was noted of them, and all before them. Never forgets others, for no
    /// limit.
    func trim(_ partition: Int, served entries: [QueueEntry]) async throws(QueueError)

    /// Keeps a request that cannot be decided where an operator finds it. At least the last 10,000 of a partition.
    func bury(_ request: RequestName, of partition: Int, reason: String) async throws(QueueError)

    /// Tells all processes how far a partition is served. May get lost.
    func announce(_ progress: QueueProgress, of partition: Int) async throws(QueueError)

    /// What ``announce(_:of:)`` was told, in any process, from now on, until the task that iterates is cancelled. After an
    /// interruption it goes on with what is announced then. It ends when there will be no more; then it may be asked for again.
    func announcements(of partition: Int) async -> AsyncStream<QueueProgress>

    /// Notes that somebody waits for these requests now.
    func touch(_ requests: [RequestName], in partition: Int) async throws(QueueError)

    /// Those of the entries for which nobody has waited for longer than `silence`, by the queue's clock: since they were
    /// touched or appended, whichever was last. Nobody, when the queue's clock has jumped within that time.
    func silent(
        among entries: [QueueEntry], of partition: Int, for silence: Duration
    ) async throws(QueueError) -> Set<RequestName>

    /// Ends it: later calls throw ``QueueError/Code/closed``.
    func close() async
}

/// Names a request among all: a caller and his idempotency key. Compared by bytes, as databases compare.
public struct RequestName: Hashable, Sendable {
    /// Who asks.
    public let caller: String
    /// What he calls the request.
    public let key: String

    /// Names a request.
    public init(caller: String, key: String) {
        self.caller = caller
        self.key = key
    }

    /// By bytes.
    public static func == (left: RequestName, right: RequestName) -> Bool {
        left.caller.hasSameBytes(as: right.caller) && left.key.hasSameBytes(as: right.key)
    }

    /// By bytes.
    public func hash(into hasher: inout Hasher) {
        for text in [caller, key] { hasher.combine(bytesOf: text) }
    }
}

/// Where an entry stands in its partition. Redis Streams count milliseconds and entries within one; a queue that has one number
/// uses the first and leaves the other at 0.
public struct QueuePosition: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The greater part.
    public let major: UInt64
    /// The smaller part.
    public let minor: UInt64

    /// Before all entries.
    public static let start = QueuePosition(0, 0)

    /// A position.
    public init(_ major: UInt64, _ minor: UInt64 = 0) {
        self.major = major
        self.minor = minor
    }

    /// Reads what ``description`` has written; `nil` for anything else.
    public init?(_ text: String) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 2, let major = UInt64(parts[0]), let minor = UInt64(parts[1]) else { return nil }
        self.init(major, minor)
    }

    /// Two numbers with a dash between them.
    public var description: String { "\(major)-\(minor)" }

    /// The order of a partition.
    public static func < (left: QueuePosition, right: QueuePosition) -> Bool {
        (left.major, left.minor) < (right.major, right.minor)
    }
}

/// One place in a partition.
public struct QueueEntry: Hashable, Sendable {
    /// Where it stands.
    public let position: QueuePosition
    /// Whose turn it is then.
    public let request: RequestName

    /// For queues.
    public init(position: QueuePosition, request: RequestName) {
        self.position = position
        self.request = request
    }
}

/// How far a partition is served, and how fast.
public struct QueueProgress: Hashable, Sendable {
    /// The greatest number of a request that had its turn.
    public let served: Int64
    /// How many requests were decided since the announcement before.
    public let decided: Int
    /// How long that took.
    public let took: Duration

    /// For queues.
    public init(served: Int64, decided: Int, took: Duration) {
        self.served = served
        self.decided = decided
        self.took = took
    }
}

/// What a queue could not do.
public struct QueueError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Code: String, Hashable, Sendable {
        /// It cannot be reached, or broke off. What was appended may be there.
        case unavailable
        /// It refuses to work until somebody changes a setting: the message says what.
        case misconfigured
        /// The task was cancelled. What was appended may be there.
        case cancelled
        /// It was closed.
        case closed
    }

    /// What kind of failure it is.
    public let code: Code
    /// One sentence, without secrets.
    public let message: String

    /// For queues.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
