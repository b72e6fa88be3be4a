#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A cart that somebody wants held.
public struct Claim: Sendable, Hashable {
    /// Made by the caller: a second claim with it finds what the first has done.
    public let id: ReservationID
    /// Whose the reservation will be.
    public let holder: String
    /// What is wanted.
    public let cart: Cart
    /// How long it is held.
    public let ttl: Duration
    /// How far it may be extended, from the beginning.
    public let totalHold: Duration
    /// How many live holds the holder may have, this one included; `nil` for no limit. Holds whose time is up do not count.
    /// Exact also when the holder sends many claims at once: they are made one after the other.
    public let maximumLiveHolds: Int?
    /// The request that this is, if its caller gave it a key.
    public let request: RequestKey?

    /// For stores' tests: the service makes them.
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
    /// All lines are held.
    case held(Reservation)
    /// The key had been used for the same request, or the holder has a reservation with this id: this is it, as it stands now.
    case replayed(Reservation)
    /// Too few are left in at least one bucket: all that are short.
    case short([Shortage])
    /// The holder has this many live holds: as many as allowed, or more.
    case holdLimit(current: Int)
    /// ``ClaimRule/optimistic(versions:)``: somebody was faster.
    case versionConflict
    /// ``ClaimRule/fenced(token:)``: a holder with this greater token was here.
    case staleFence(Bucket, seen: Int64)
    /// The key cannot be used.
    case key(KeyProblem)
}

/// What came of a claim, and at which price.
public struct ClaimAnswer: Sendable, Hashable {
    /// What came of it.
    public let outcome: ClaimOutcome
    /// How often the database was asked until it answered: more than once when others were faster, or had it locked.
    public let attempts: Int

    /// For stores.
    public init(_ outcome: ClaimOutcome, attempts: Int) {
        self.outcome = outcome
        self.attempts = max(attempts, 0)
    }
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
