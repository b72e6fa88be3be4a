#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Where inventory and reservations live. The store's rules are what makes an oversell impossible; strategies, locks and
/// queues only shape the traffic.
///
/// What every store promises, and ``InMemoryReservationStore`` shows:
///
/// - **One method is one transaction.** It takes effect as a whole or not at all, also when its task is cancelled or its
///   process dies, and what it returned is durable. A method that throws an error whose ``StoreError/effect`` is
///   ``StoreError/Effect/unknown`` may have taken effect: to call it again with the same arguments is safe.
/// - **`0 <= held`, `0 <= sold`, `held + sold <= capacity`** hold for every bucket after every statement, by constraints of
///   the schema and not by the care of the code. So do: a seat in at most one live line; a reservation resolved at most
///   once; a ledger that is only added to.
/// - **Time is the store's.** Deadlines are set and compared by its clock only.
/// - **Lock order.** Reservation rows before bucket rows; bucket rows in one order that is the same for every method.
///   So no two methods can deadlock.
/// - **A hold whose time is up is over**, whether or not ``expire(_:limit:)`` has seen it. Whatever a store answers shows it
///   as ``Reservation/State/expired``, resolved when its time was up; it counts for no limit; only the bucket's `held` still
///   has it. See ``Reservation/seen(at:)``.
/// - **Answers are stored with their effect.** A method that gets a ``RequestKey`` writes it, with the id of the reservation
///   or the bucket that it answers, in the same transaction, and answers a repeated key with that reservation or bucket as it
///   stands now. A key belongs to its caller: the same key of the same caller for another operation or with another
///   fingerprint is ``KeyProblem/reused``. What had no effect is not stored: its key may be used again.
/// - Methods may be called from any number of tasks at once, and do not block the thread that calls them.
public protocol ReservationStore: Sendable {
    /// Brings the schema up to date. Any number of processes may do it at once.
    func migrate() async throws(StoreError)

    /// Adds to the capacity of a bucket, or takes away from it; makes the bucket if there is none (with a delta of 0 or more).
    ///
    /// The only method that may not be repeated without a ``StockChange/request``.
    func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome

    /// Holds all lines of a cart, or none.
    ///
    /// In this order: a key that was used, an id that exists already, the holder's limit, a stale fence, a version conflict,
    /// shortages. A claim that is refused leaves nothing behind, not even a raised fence.
    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome

    /// Ends a reservation: confirm, cancel, or return.
    ///
    /// One that is in the state already is ``ResolutionOutcome/repeated(_:)``, with or without a key.
    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome

    /// Sets the end of a hold to `ttl` from now, but not beyond its hard deadline, and never to an earlier time than before.
    func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome

    /// Ends at most `limit` holds whose time is up, the oldest first: of these buckets, or of all.
    ///
    /// Holds that another call is ending at the same time are passed over.
    func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation]

    /// One reservation; `nil` when there is none, or it is not `holder`'s. Anybody's when `holder` is `nil`.
    func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation?

    /// The buckets that there are among these, in their order.
    func states(of buckets: [Bucket]) async throws(StoreError) -> [BucketState]

    /// The buckets of the same item and kind next to this one in the order of buckets, free or not, sorted and without itself:
    /// at most `limit` before it and at most `limit` after it. It need not exist.
    func neighbours(of bucket: Bucket, limit: Int) async throws(StoreError) -> [BucketState]

    /// All buckets of an item, sorted, at most `limit` after `last`.
    func states(ofItem item: String, after last: Bucket?, limit: Int) async throws(StoreError) -> [BucketState]

    /// The ledger, oldest first: of one item or of all, at most `limit` entries after `sequence`.
    func ledger(ofItem item: String?, after sequence: Int64, limit: Int) async throws(StoreError) -> [LedgerEntry]

    /// Compares everything with everything: see ``AuditReport``. Changes nothing.
    ///
    /// - Parameter grace: how long a hold may be overdue before that is a finding.
    func audit(grace: Duration) async throws(StoreError) -> AuditReport

    /// Forgets stored answers that are older, at most `limit` of them. Returns how many.
    func forgetRequests(olderThan age: Duration, limit: Int) async throws(StoreError) -> Int

    /// Ends it: calls under way are finished, later ones throw ``StoreError/Code/closed``.
    func close() async
}

/// What a store could not do. Expected outcomes are values; this is everything else.
public struct StoreError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Code: String, Hashable, Sendable {
        /// A row was locked for too long, a deadlock, a conflict, or no connection within the time for it.
        case busy
        /// The database cannot be reached, or broke off.
        case unavailable
        /// A constraint of the schema refused what the code wanted: a bug, of which the constraint prevented the damage.
        case refusedByConstraint
        /// A wrong password, a missing permission, a schema of another version: the message says what to change.
        case misconfigured
        /// The task was cancelled.
        case cancelled
        /// The store was closed.
        case closed
        /// Anything else that a database may say.
        case failed
    }

    /// What is known about the effect of the call.
    public enum Effect: Hashable, Sendable {
        /// Nothing was changed.
        case none
        /// It may have been: the connection broke after the commit was sent.
        case unknown
    }

    /// What kind of failure it is.
    public let code: Code
    /// What is known about the effect.
    public let effect: Effect
    /// One sentence, without secrets and without values of rows.
    public let message: String

    /// For stores.
    public init(_ code: Code, _ message: String, effect: Effect = .none) {
        self.code = code
        self.effect = effect
        self.message = message
    }

    /// The message.
    public var description: String { message }
}

/// Which request of a caller this is: the key of idempotency.
public struct RequestKey: Hashable, Sendable {
    /// Who asks. Keys of different callers have nothing to do with each other.
    public let caller: String
    /// What the caller calls the request.
    public let key: String
    /// What is asked: `reserve`, `confirm`...
    public let operation: String
    /// A digest of the request: the same key with another fingerprint is a mistake.
    public let fingerprint: String

    /// For stores' tests.
    public init(caller: String, key: String, operation: String, fingerprint: String) {
        self.caller = caller
        self.key = key
        self.operation = operation
        self.fingerprint = fingerprint
    }
}

/// A change of capacity.
public struct StockChange: Sendable, Hashable {
    public let bucket: Bucket
    public let delta: Int
    /// Who did it, and why: for the ledger.
    public let actor: String
    public let request: RequestKey?

    public init(bucket: Bucket, delta: Int, actor: String, request: RequestKey? = nil) {
        self.bucket = bucket
        self.delta = delta
        self.actor = actor
        self.request = request
    }
}

/// What came of a change of capacity.
public enum StockOutcome: Sendable, Hashable {
    case done(BucketState)
    /// The key had been used for the same change: this is the bucket as it stands now.
    case replayed(BucketState)
    /// So many are held and sold; the capacity stays. Also for a bucket that does not exist, of which nothing can be taken.
    case belowCommitments(committed: Int)
    /// More than ``Bucket/maximumCapacity``; the capacity stays.
    case aboveMaximum
    /// The key cannot be used.
    case key(KeyProblem)
}

/// Why an idempotency key could not be used.
public enum KeyProblem: Sendable, Hashable {
    /// For another request.
    case reused
    /// Another transaction with it was still going on after the store's bounded wait.
    case inProgress
}

/// A cart that somebody wants held.
public struct Claim: Sendable, Hashable {
    /// Made by the caller: a second claim with it finds what the first has done.
    public let id: ReservationID
    public let holder: String
    public let cart: Cart
    /// How long it is held.
    public let ttl: Duration
    /// How far it may be extended, from the beginning.
    public let totalHold: Duration
    /// How many live holds the holder may have, this one included; `nil` for no limit. Holds whose time is up do not count.
    /// Exact also when the holder sends many claims at once: they are made one after the other.
    public let maximumLiveHolds: Int?
    public let request: RequestKey?

    public init(
        id: ReservationID, holder: String, cart: Cart, ttl: Duration, totalHold: Duration, maximumLiveHolds: Int?,
        request: RequestKey?
    ) {
        self.id = id
        self.holder = holder
        self.cart = cart
        self.ttl = ttl
        self.totalHold = totalHold
        self.maximumLiveHolds = maximumLiveHolds
        self.request = request
    }
}

/// How a store makes sure that a claim does not take more than there is. Every rule is safe with every other at the same
/// time: the constraint of the row is below them all.
public enum ClaimRule: Sendable, Hashable {
    /// One conditional update for each bucket.
    case atomic
    /// Rows are locked first, for at most this long a wait, then read, decided upon and written.
    case pessimistic(lockTimeout: Duration)
    /// Written only where the bucket still has the version that was read before.
    case optimistic(versions: [Bucket: Int64])
    /// The rows' fence is raised to the token first; a row that has seen a greater one refuses.
    case fenced(token: Int64)
}

/// What came of a claim.
public enum ClaimOutcome: Sendable, Hashable {
    case held(Reservation)
    /// The key had been used for the same request, or the holder has a reservation with this id: this is it, as it stands now.
    case replayed(Reservation)
    /// Too few are left in at least one bucket: all that are short.
    case short([Shortage])
    case holdLimit(current: Int)
    /// ``ClaimRule/optimistic(versions:)``: somebody was faster.
    case versionConflict
    /// ``ClaimRule/fenced(token:)``: a holder with this greater token was here.
    case staleFence(Bucket, seen: Int64)
    case key(KeyProblem)
}

/// A bucket that has less than was asked for.
public struct Shortage: Sendable, Hashable {
    /// Which bucket.
    public let bucket: Bucket
    /// How many were asked for.
    public let requested: Int
    /// What it holds; `nil` when there is no such bucket.
    public let state: BucketState?
    /// How many the holder has in live holds of his own: they are never called others'.
    public let heldByHolder: Int
    /// How many others have in live holds. Holds whose time is up are nobody's, although ``BucketState/held`` may have them.
    public let heldByOthers: Int
    /// When the first live hold of somebody else on it ends, if there is one.
    public let nextReleaseAt: Date?
    /// The time by the store's clock when it looked.
    public let asOf: Date

    /// For stores.
    public init(
        bucket: Bucket, requested: Int, state: BucketState?, heldByHolder: Int, heldByOthers: Int,
        nextReleaseAt: Date?, asOf: Date
    ) {
        self.bucket = bucket
        self.requested = requested
        self.state = state
        self.heldByHolder = heldByHolder
        self.heldByOthers = heldByOthers
        self.nextReleaseAt = nextReleaseAt
        self.asOf = asOf
    }
}

/// The end of a reservation.
public struct Resolution: Sendable, Hashable {
    /// How it ends.
    public enum Kind: String, Sendable, Hashable {
        case confirm
        case cancel
        case `return`
    }

    public let id: ReservationID
    /// Whose it must be; `nil` for an operator, who may end anybody's.
    public let holder: String?
    public let kind: Kind
    /// For ``Kind/confirm`` of a hold that has expired: takes the units again, if they are there, as a new reservation with
    /// this id that is confirmed at once, of the same holder and lines, in one transaction with the end of the old one.
    /// `nil`: too late is too late. When there is a reservation with this id already, it is the answer:
    /// ``ResolutionOutcome/repeated(_:)`` if it is confirmed, else ``ResolutionOutcome/conflict(_:)``. The new one has two
    /// ledger entries for each bucket, of the kinds `hold` and `confirm`.
    public let replacement: ReservationID?
    /// For the ledger.
    public let actor: String
    public let request: RequestKey?

    public init(
        id: ReservationID, holder: String?, kind: Kind, replacement: ReservationID? = nil, actor: String,
        request: RequestKey? = nil
    ) {
        self.id = id
        self.holder = holder
        self.kind = kind
        self.replacement = replacement
        self.actor = actor
        self.request = request
    }
}

/// A longer hold.
public struct HoldExtension: Sendable, Hashable {
    public let id: ReservationID
    public let holder: String?
    /// From now.
    public let ttl: Duration
    public let request: RequestKey?

    public init(id: ReservationID, holder: String?, ttl: Duration, request: RequestKey? = nil) {
        self.id = id
        self.holder = holder
        self.ttl = ttl
        self.request = request
    }
}

/// What came of ending or extending a reservation.
public enum ResolutionOutcome: Sendable, Hashable {
    case done(Reservation)
    /// It had been done before: by this request's key, or it was in that state already.
    case repeated(Reservation)
    /// Its state, as it is in the reservation, forbids it.
    case conflict(Reservation)
    /// ``HoldExtension``: it is held until its hard deadline already.
    case extensionLimit(Reservation)
    /// ``Resolution/replacement``: the units are gone. The end of the old hold may be written down all the same.
    case short([Shortage])
    case notFound
    case key(KeyProblem)
}

/// What the guarantee check found. It reports and never repairs: a deviation is a bug, and evidence.
public struct AuditReport: Sendable, Hashable, Codable {
    /// Something that must never be.
    public struct Finding: Sendable, Hashable, Codable {
        /// Which rule is broken.
        public enum Rule: String, Sendable, Hashable, Codable, CaseIterable {
            /// A bucket's `held` is not the sum of its live lines.
            case heldByLines
            /// A bucket's `sold` is not the sum of its confirmed lines.
            case soldByLines
            /// A bucket's `capacity`, `held` or `sold` is not the sum of its ledger.
            case ledger
            /// More is held and sold than there is.
            case oversell
            /// A live line of a reservation that is over, or a reservation that lives without lines.
            case lines
            /// A hold that is overdue by more than the grace: the sweeper does not run.
            case overdue
            /// A request that is done and has no answer.
            case request
        }

        public let rule: Rule
        /// One sentence with the numbers.
        public let detail: String

        public init(_ rule: Rule, _ detail: String) {
            self.rule = rule
            self.detail = detail
        }
    }

    /// Nothing, when all is well. At most ``maximumFindings``.
    public let findings: [Finding]
    /// How many buckets were looked at.
    public let buckets: Int
    /// How many reservations were looked at.
    public let reservations: Int

    public static let maximumFindings = 100

    public init(findings: [Finding], buckets: Int, reservations: Int) {
        self.findings = Array(findings.prefix(Self.maximumFindings))
        self.buckets = buckets
        self.reservations = reservations
    }

    /// Whether every rule holds.
    public var isClean: Bool { findings.isEmpty }
}
