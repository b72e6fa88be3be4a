#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Names a reservation. Made by the client of a store, so that a request whose answer got lost can be repeated.
public struct ReservationID: Hashable, Sendable, Codable, CustomStringConvertible {
    /// A UUID of version 7 (RFC 9562), whose beginning is the time: near in time is near in the index.
    public let uuid: UUID

    /// A given one.
    public init(_ uuid: UUID) {
        self.uuid = uuid
    }

    /// The id in its usual form; `nil` for anything that is none.
    public init?(_ text: String) {
        guard let uuid = UUID(uuidString: text) else { return nil }
        self.uuid = uuid
    }

    /// A new one.
    public static func make() -> ReservationID {
        var generator = SystemRandomNumberGenerator()
        return make(at: Date(), using: &generator)
    }

    package static func make(at time: Date, using generator: inout some RandomNumberGenerator) -> ReservationID {
        let milliseconds = UInt64(max(0, time.timeIntervalSince1970 * 1000))
        var bytes = [UInt8](repeating: 0, count: 16)
        for index in 0..<6 { bytes[index] = UInt8(truncatingIfNeeded: milliseconds >> UInt64(8 * (5 - index))) }
        for index in 6..<16 { bytes[index] = .random(in: 0...255, using: &generator) }
        return ReservationID(version7: bytes)
    }

    /// The id of the reservation that takes the place of this one when it is confirmed too late. Always the same one, so
    /// that a confirmation which is sent twice sells once.
    package var replacement: ReservationID {
        let digest = Fingerprint.digest(of: ["replacement", description])
        var bytes = withUnsafeBytes(of: uuid.uuid) { Array($0) }
        for index in 6..<16 { bytes[index] = UInt8(truncatingIfNeeded: digest >> UInt128(8 * (15 - index))) }
        return ReservationID(version7: bytes)
    }

    /// Sets version and variant. The array has 16 bytes.
    private init(version7 bytes: [UInt8]) {
        var bytes = bytes
        bytes[6] = 0x70 | (bytes[6] & 0x0F)
        bytes[8] = 0x80 | (bytes[8] & 0x3F)
        uuid = UUID(
            uuid: (
                bytes[0], bytes[1], bytes[2], bytes[3], bytes[4], bytes[5], bytes[6], bytes[7], bytes[8], bytes[9],
                bytes[10], bytes[11], bytes[12], bytes[13], bytes[14], bytes[15]
            ))
    }

    /// Lower-case, with dashes.
    public var description: String { uuid.uuidString.lowercased() }

    /// Written as its text.
    public init(from decoder: any Decoder) throws {
        uuid = try decoder.singleValueContainer().decode(UUID.self)
    }

    /// Written as its text.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// So many units of some buckets, held for somebody until they are confirmed, given back or expire.
///
/// ```
/// held --confirm--> confirmed --return--> returned
/// held --extend, until the hard deadline--> held
/// held --cancel--> cancelled
/// held --its time is up--> expired
/// ```
public struct Reservation: Hashable, Sendable, Codable {
    /// Where a reservation stands. Only ``held`` may change, and ``confirmed`` may be returned.
    public enum State: String, Hashable, Sendable, Codable, CaseIterable {
        /// The units are set aside until ``Reservation/expiresAt``.
        case held
        /// The units are sold.
        case confirmed
        /// Given back before it was confirmed.
        case cancelled
        /// Its time ran out.
        case expired
        /// Given back after it was confirmed.
        case returned
    }

    /// Its name.
    public let id: ReservationID
    /// Whose it is: whatever identifies a buyer to the application.
    public let holder: String
    /// What it covers: one line for each bucket.
    public let lines: [Line]
    /// Where it stands.
    public let state: State
    /// Until when it is held, by the database's clock.
    public let expiresAt: Date
    /// How far it can be extended, by the database's clock.
    public let hardDeadline: Date
    /// When it was made, by the database's clock.
    public let createdAt: Date
    /// When it came to its present state, by the database's clock; `nil` while it is held.
    public let resolvedAt: Date?

    /// For stores.
    public init(
        id: ReservationID, holder: String, lines: [Line], state: State, expiresAt: Date, hardDeadline: Date,
        createdAt: Date, resolvedAt: Date?
    ) {
        self.id = id
        self.holder = holder
        self.lines = lines
        self.state = state
        self.expiresAt = expiresAt
        self.hardDeadline = hardDeadline
        self.createdAt = createdAt
        self.resolvedAt = resolvedAt
    }

    /// The reservation as it counts at this time of the store's clock: a hold whose time is up is over, although nobody may
    /// have written that down yet.
    public func seen(at now: Date) -> Reservation {
        guard state == .held, expiresAt <= now else { return self }
        return with(.expired, at: expiresAt)
    }

    /// The same in another state.
    package func with(_ state: State, at time: Date?) -> Reservation {
        Reservation(
            id: id, holder: holder, lines: lines, state: state, expiresAt: expiresAt, hardDeadline: hardDeadline,
            createdAt: createdAt, resolvedAt: time)
    }

    /// The same, held until another time.
    package func held(until time: Date) -> Reservation {
        Reservation(
            id: id, holder: holder, lines: lines, state: state, expiresAt: time, hardDeadline: hardDeadline,
            createdAt: createdAt, resolvedAt: resolvedAt)
    }
}

/// One line of the book: what happened to one bucket, and why. Written once, never changed.
public struct LedgerEntry: Hashable, Sendable, Codable {
    /// What happened.
    public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// Capacity was added or taken away.
        case stock
        /// A reservation was made.
        case hold
        /// It was confirmed.
        case confirm
        /// It was given back.
        case cancel
        /// Its time ran out.
        case expire
        /// It was given back after it had been confirmed.
        case `return`

        /// A reservation has one entry for each bucket and phase: it is resolved once, whoever tries.
        package var phase: Int {
            switch self {
            case .stock: 0
            case .hold: 1
            case .confirm, .cancel, .expire: 2
            case .return: 3
            }
        }
    }

    /// Its number: later entries have greater ones.
    public let sequence: Int64
    /// Of which bucket.
    public let bucket: Bucket
    /// By which reservation; `nil` for ``Kind/stock``.
    public let reservation: ReservationID?
    /// What happened.
    public let kind: Kind
    /// Added to the capacity.
    public let capacityDelta: Int
    /// Added to what is held.
    public let heldDelta: Int
    /// Added to what is sold.
    public let soldDelta: Int
    /// The fencing token under which it was written; 0 without a lock.
    public let fence: Int64
    /// Who did it: the holder, `sweeper`, or whoever restocked.
    public let actor: String
    /// When, by the database's clock.
    public let at: Date

    /// For stores.
    public init(
        sequence: Int64, bucket: Bucket, reservation: ReservationID?, kind: Kind, capacityDelta: Int, heldDelta: Int,
        soldDelta: Int, fence: Int64, actor: String, at: Date
    ) {
        self.sequence = sequence
        self.bucket = bucket
        self.reservation = reservation
        self.kind = kind
        self.capacityDelta = capacityDelta
        self.heldDelta = heldDelta
        self.soldDelta = soldDelta
        self.fence = fence
        self.actor = actor
        self.at = at
    }
}
