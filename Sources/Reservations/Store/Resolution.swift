/// The end of a reservation.
public struct Resolution: Sendable, Hashable {
    /// How it ends.
    public enum Kind: String, Sendable, Hashable {
        /// What is held is sold.
        case confirm
        /// What is held is given back.
        case cancel
        /// What was sold is given back.
        case `return`
    }

    /// Which reservation.
    public let id: ReservationID
    /// Whose it must be; `nil` for an operator, who may end anybody's.
    public let holder: String?
    /// How it ends.
    public let kind: Kind
    /// For ``Kind/confirm`` of a hold that has expired: takes the units again, if they are there, as a new reservation with
    /// this id that is confirmed at once, of the same holder and lines, in one transaction with the end of the old one.
    /// `nil`: too late is too late. When there is a reservation with this id already, it is the answer:
    /// ``ResolutionOutcome/repeated(_:)`` if it is confirmed, else ``ResolutionOutcome/conflict(_:)``. The new one has two
    /// ledger entries for each bucket, of the kinds `hold` and `confirm`.
    public let replacement: ReservationID?
    /// Who does it: for the ledger.
    public let actor: String
    /// The request that this is, if its caller gave it a key.
    public let request: RequestKey?

    /// For stores' tests: the service makes them.
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
    /// Which reservation.
    public let id: ReservationID
    /// Whose it must be; `nil` for an operator.
    public let holder: String?
    /// How long it is held from now.
    public let ttl: Duration
    /// The request that this is, if its caller gave it a key.
    public let request: RequestKey?

    /// For stores' tests: the service makes them.
    public init(id: ReservationID, holder: String?, ttl: Duration, request: RequestKey? = nil) {
        self.id = id
        self.holder = holder
        self.ttl = ttl
        self.request = request
    }
}

/// What came of ending or extending a reservation.
public enum ResolutionOutcome: Sendable, Hashable {
    /// It was done now.
    case done(Reservation)
    /// It had been done before: by this request's key, or it was in that state already.
    case repeated(Reservation)
    /// Its state, as it is in the reservation, forbids it.
    case conflict(Reservation)
    /// ``HoldExtension``: it is held until its hard deadline already.
    case extensionLimit(Reservation)
    /// ``Resolution/replacement``: the units are gone. The end of the old hold may be written down all the same.
    case short([Shortage])
    /// There is none with this id and holder.
    case notFound
    /// The key cannot be used.
    case key(KeyProblem)
}
