#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A store that can keep requests until their turn, and decide many of them in one transaction.
///
/// It is the authority: a request is accepted when ``enqueue(_:in:limits:)`` has written it down, it is decided once, and the
/// position up to which its partition was read is committed with the decision. So whatever happens to the queue or to the
/// owner of a partition, a request is neither lost nor decided twice.
///
/// - **Lock order**, beyond that of ``ReservationStore``: partitions, then requests in one order, then holders in one order,
///   then reservations and buckets.
/// - **Fenced**: a partition has the greatest fencing token of its owners, and does nothing for a lesser one.
public protocol QueueingReservationStore: ReservationStore {
    /// Makes as many partitions as there shall be, or finds that there are.
    ///
    /// - Returns: for each, the greatest number of a request that had its turn.
    /// - Throws: ``StoreError/Code/misconfigured`` when the store has another number of them: requests that wait would not be
    ///   found.
    func preparePartitions(_ count: Int) async throws(StoreError) -> [Int64]

    /// Writes requests down as waiting, each with the next number of its partition, in their order. One transaction; what one
    /// request comes to has nothing to do with the others.
    ///
    /// A request that is there already keeps its number while it waits, and is answered when it was decided for good. One that
    /// was withdrawn, skipped, or refused for a reason that may pass (what others hold may become free) waits again,
    /// with a new number.
    ///
    /// - Parameters:
    ///   - claims: each with a ``Claim/request``, whose caller is its ``Claim/holder``; no two with the same.
    ///   - partition: in which line.
    ///   - limits: how many may wait.
    /// - Returns: one for each claim, in their order.
    func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome]

    /// Makes the holder of `token` the owner of a partition.
    func takePartition(_ partition: Int, token: Int64) async throws(StoreError) -> TakeoverOutcome

    /// Sets a partition's position to the start: for a queue that has lost what was in it. `false` when somebody with another
    /// token owns it.
    func rewind(_ partition: Int, token: Int64) async throws(StoreError) -> Bool

    /// Decides on requests in their order, under ``ClaimRule/atomic``, and moves the partition's position: all of it or nothing.
    ///
    /// Entries whose request is not waiting any more in this partition are passed over: so an entry may come twice.
    func decide(_ batch: QueueBatch) async throws(StoreError) -> BatchOutcome

    /// Requests that have waited for longer than `age`, by their numbers: at most `limit` behind `number`, up to `last`.
    func waiting(
        in partition: Int, after number: Int64, through last: Int64, longerThan age: Duration, limit: Int
    ) async throws(StoreError) -> [WaitingRequest]

    /// Takes a waiting request out of the line; any other stays as it is. What it came to; `nil` when there is none, or it was
    /// never in a line.
    func withdraw(_ request: RequestName) async throws(StoreError) -> QueuedRequest?

    /// How far each partition is behind, by its number. Costs a look at an index for each, however many wait.
    func lag() async throws(StoreError) -> [LineLag]

    /// What these requests have come to, in their order; `nil` for one that there is not, or that was never in a line.
    func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?]
}

/// How many may wait.
public struct IntakeLimits: Sendable, Hashable {
    /// In one partition, from the greatest number that was served.
    public let waiting: Int
    /// Of one caller, in all partitions.
    public let perCaller: Int

    /// For stores' tests.
    public init(waiting: Int, perCaller: Int) {
        self.waiting = waiting
        self.perCaller = perCaller
    }
}

/// What came of a request to wait.
public enum IntakeOutcome: Sendable, Hashable {
    /// It waits, now or since an earlier call, with this number.
    case waiting(number: Int64)
    /// It was decided before.
    case decided(ClaimOutcome)
    /// Its key is used otherwise.
    case key(KeyProblem)
    /// So many are in the line.
    case full(waiting: Int)
    /// The caller has so many in lines.
    case callerLimit(current: Int)
}

/// Who owns a partition now.
public enum TakeoverOutcome: Sendable, Hashable {
    /// The holder of the token does, and goes on behind this position; `served` is the greatest number that had its turn.
    case taken(position: QueuePosition, served: Int64)
    /// A holder with this greater token was here.
    case staleFence(seen: Int64)
}

/// How far a line is behind.
public struct LineLag: Sendable, Hashable {
    /// How many wait. At most: who left the line from the middle is counted until it has come past him.
    public let waiting: Int
    /// For how long the first in the line has waited, by the store's clock; `nil` when nobody waits.
    public let oldest: Duration?

    /// For stores.
    public init(waiting: Int, oldest: Duration?) {
        self.waiting = waiting
        self.oldest = oldest
    }
}

/// A request in a line.
public struct WaitingRequest: Sendable, Hashable {
    /// Which.
    public let name: RequestName
    /// Its number in its partition.
    public let number: Int64

    /// For stores.
    public init(name: RequestName, number: Int64) {
        self.name = name
        self.number = number
    }
}

/// What became of a request that was put into a line.
public struct QueuedRequest: Sendable, Hashable {
    /// Where it stands.
    public enum State: Sendable, Hashable {
        /// In the line.
        case waiting
        /// Decided: ``ClaimOutcome/replayed(_:)`` with the reservation as it stands now, or why there is none.
        case decided(ClaimOutcome)
        /// Its caller took it out of the line.
        case withdrawn
        /// Nobody waited for it when its turn came.
        case skipped
        /// It could not be decided, for a reason that only the log tells.
        case failed
    }

    /// Which partition.
    public let partition: Int
    /// Its number there.
    public let number: Int64
    /// Where it stands.
    public let state: State

    /// For stores.
    public init(partition: Int, number: Int64, state: State) {
        self.partition = partition
        self.number = number
        self.state = state
    }
}

/// Requests whose turn it is.
public struct QueueBatch: Sendable, Hashable {
    /// What to do about one.
    public enum Treatment: Sendable, Hashable {
        /// Decide.
        case decide
        /// Nobody waits for it: leave it out.
        case skip
        /// It cannot be decided: write that down.
        case fail
    }

    /// One of them.
    public struct Turn: Sendable, Hashable {
        /// Whose turn it is.
        public let request: RequestName
        /// What to do about it.
        public let treatment: Treatment

        /// For stores' tests.
        public init(_ request: RequestName, _ treatment: Treatment = .decide) {
            self.request = request
            self.treatment = treatment
        }
    }

    /// Of which partition.
    public let partition: Int
    /// The owner's.
    public let token: Int64
    /// The position before these requests: the partition's, or somebody else has moved it.
    public let from: QueuePosition
    /// The position of the last of them.
    public let through: QueuePosition
    /// In their order; a request may be among them twice.
    public let turns: [Turn]
    /// Whether to refuse requests for units that are held by reservations whose time is up. Otherwise such a batch changes
    /// nothing and is ``BatchOutcome/overdue(_:)``: availability never waits for the sweeper.
    public let isFinal: Bool

    /// For stores' tests.
    public init(
        partition: Int, token: Int64, from: QueuePosition, through: QueuePosition, turns: [Turn], isFinal: Bool = false
    ) {
        self.partition = partition
        self.token = token
        self.from = from
        self.through = through
        self.turns = turns
        self.isFinal = isFinal
    }
}

/// What came of a batch.
public enum BatchOutcome: Sendable, Hashable {
    /// It is committed. `served` is the greatest number that has had its turn.
    case decided(served: Int64, [Verdict])
    /// Nothing was changed: on these buckets, holds whose time is up are in the way.
    case overdue([Bucket])
    /// Nothing was changed: the partition has another owner or another position.
    case superseded

    /// What became of one request.
    public struct Verdict: Sendable, Hashable {
        /// In short.
        public enum Kind: String, Sendable, Hashable {
            case held, refused, skipped, failed
        }

        /// Which request.
        public let request: RequestName
        /// What became of it.
        public let kind: Kind
        /// What there is to tell about it, where the store knows at once; where it does not, it is asked again for those who
        /// wait.
        public let answer: Answer?

        /// For stores.
        public init(_ request: RequestName, _ kind: Kind, _ answer: Answer? = nil) {
            self.request = request
            self.kind = kind
            self.answer = answer
        }
    }

    /// What a caller is told.
    public enum Answer: Sendable, Hashable {
        /// It is held.
        case held(Hold)
        /// Why it is not.
        case refused(ClaimOutcome)
    }

    /// A reservation that was just made, for those who know what it is of.
    public struct Hold: Sendable, Hashable {
        /// The ``Claim/id``, of the claim that was written down.
        public let id: ReservationID
        /// As in ``Reservation``.
        public let createdAt: Date
        /// As in ``Reservation``.
        public let expiresAt: Date
        /// As in ``Reservation``.
        public let hardDeadline: Date

        /// For stores.
        public init(id: ReservationID, createdAt: Date, expiresAt: Date, hardDeadline: Date) {
            self.id = id
            self.createdAt = createdAt
            self.expiresAt = expiresAt
            self.hardDeadline = hardDeadline
        }

        package init(_ reservation: Reservation) {
            self.init(
                id: reservation.id, createdAt: reservation.createdAt, expiresAt: reservation.expiresAt,
                hardDeadline: reservation.hardDeadline)
        }
    }
}

extension ClaimOutcome {
    /// Whether a refusal may be another one later without anybody changing anything but time: then it is not an answer for
    /// good, and the same key may be used again.
    package var mayPass: Bool {
        switch self {
        case .held, .replayed: false
        case .short(let shortages): shortages.allSatisfy { $0.state != nil && $0.shortfall.mayBecomeAvailable }
        case .holdLimit, .versionConflict, .staleFence, .key: true
        }
    }
}
