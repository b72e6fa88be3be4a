#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// Why a reservation did not come about, or could not be changed.
public struct ReservationError: Error, Sendable {
    /// What kind of failure it is. New cases may come: always have a `default`.
    public enum Code: Hashable, Sendable {
        /// Too few are left of these buckets: at least one. What others hold may become free.
        case outOfStock([Shortfall])
        /// These seats are taken; `alternatives` are free seats of the same item, the nearest first. `yours` are those of the
        /// conflicts that whoever asked holds himself: nobody else has taken them.
        case seatUnavailable(conflicts: [Bucket], yours: [Bucket], alternatives: [Bucket])
        /// Nobody has ever stocked it.
        case unknownBucket(Bucket)
        /// Too many want the same at this moment. Nothing was changed; the same request may be sent again, with the same
        /// idempotency key.
        case busy(attempts: Int, strategy: String)
        /// The store is away, or the servers of the lock are. Nothing was changed; the same request may be sent again, with
        /// the same idempotency key.
        case unavailable
        /// Whether the request took effect is not known: the connection broke at the commit. Send it again with the same
        /// idempotency key, or ask for the reservation's status.
        case outcomeUnknown
        /// The hold is over.
        case holdExpired(at: Date)
        /// It is confirmed already.
        case alreadyConfirmed(at: Date)
        /// It was cancelled before.
        case alreadyCancelled(at: Date)
        /// It was returned before.
        case alreadyReturned(at: Date)
        /// Only what is confirmed can be returned.
        case notConfirmed
        /// It cannot be extended beyond `hardDeadline`.
        case extensionLimit(hardDeadline: Date)
        /// There is none with this id, or it is somebody else's.
        case notFound
        /// The idempotency key was used for another request.
        case idempotencyKeyReused
        /// A request with this idempotency key is being worked on.
        case idempotencyInProgress
        /// The holder has this many unconfirmed reservations, and may have no more.
        case holdLimit(limit: Int, current: Int)
        /// So many wait in the line that this one would wait for too long.
        case queueFull(waiting: Int)
        /// The line takes nobody in this process: ``WaitingLine/run()`` has not begun yet, or has ended. The same request may
        /// be sent again, with the same idempotency key, here in a moment or to another process at once.
        case lineClosed
        /// The holder has this many requests in lines, and may have no more.
        case queueLimit(limit: Int, current: Int)
        /// The holder took the request out of its line.
        case withdrawn
        /// Nobody waited for the request when its turn came: it has to be sent again, and goes to the end of the line.
        case turnMissed
        /// The capacity cannot fall below what is held and sold.
        case capacityBelowCommitments(Bucket, committed: Int)
        /// The request makes no sense: each flaw with a JSON pointer to its place.
        case invalidRequest([Flaw])
        /// The task was cancelled before anything was changed.
        case cancelled
        /// The store was closed.
        case closed
        /// The store refuses to work until somebody changes a setting: the message says what.
        case misconfigured
        /// The store failed in a way that only its message tells. Nothing was changed.
        case failed
    }

    /// A bucket that has less than was asked for.
    public struct Shortfall: Hashable, Sendable, Codable {
        /// Which bucket.
        public let bucket: Bucket
        /// How many were asked for.
        public let requested: Int
        /// How many are left: fewer.
        public let available: Int
        /// How many others hold unconfirmed, and may still give back.
        public let heldByOthers: Int
        /// How many whoever asked holds unconfirmed: he may confirm them, or give them back and ask again.
        public let heldByHolder: Int
        /// When the first hold of somebody else ends, by the store's clock; `nil` when there is none. It may be extended or
        /// confirmed before.
        public let nextReleaseAt: Date?
        /// How long that was from the moment at which the store looked: right also where clocks differ.
        public let nextReleaseIn: Duration?

        /// Whether there would be enough if others gave back what they hold.
        public var mayBecomeAvailable: Bool { heldByOthers > 0 && available.addingClamped(heldByOthers) >= requested }

        package init(
            bucket: Bucket, requested: Int, available: Int, heldByOthers: Int, heldByHolder: Int,
            nextReleaseAt: Date? = nil, nextReleaseIn: Duration? = nil
        ) {
            self.bucket = bucket
            self.requested = requested
            self.available = available
            self.heldByOthers = heldByOthers
            self.heldByHolder = heldByHolder
            self.nextReleaseAt = nextReleaseAt
            self.nextReleaseIn = nextReleaseIn
        }
    }

    /// One thing that is wrong with a request.
    public struct Flaw: Hashable, Sendable, Codable {
        /// Where: a JSON pointer (RFC 6901) into the request.
        public let pointer: String
        /// What, in English.
        public let detail: String
        /// What, in Korean.
        let korean: String

        package init(pointer: String, detail: String, korean: String? = nil) {
            self.pointer = pointer
            self.detail = detail
            // Flaws of a configuration, which no buyer ever sees, have one language.
            self.korean = korean ?? "'\(pointer)' 항목의 값이 올바르지 않습니다."
        }

        private enum CodingKeys: String, CodingKey {
            case pointer, detail
        }

        /// Reads pointer and detail, which is all that is written.
        public init(from decoder: any Decoder) throws {
            let values = try decoder.container(keyedBy: CodingKeys.self)
            self.init(
                pointer: try values.decode(String.self, forKey: .pointer),
                detail: try values.decode(String.self, forKey: .detail))
        }

        /// What, in this language.
        public func sentence(in language: Language) -> String {
            switch language {
            case .english: detail
            case .korean: korean
            }
        }
    }

    /// What kind of failure it is.
    public let code: Code
    /// One sentence for whoever operates the service. Holds no secret.
    public let message: String
    /// When it may be worth trying again; `nil` when nothing is known, or when it never is.
    public let retryAfter: Duration?
    /// How often the store was asked, the store's own repetitions included; 0 when it was not.
    public let attempts: Int

    package init(_ code: Code, _ message: String, retryAfter: Duration? = nil, attempts: Int = 0) {
        self.code = code
        self.message = message
        self.retryAfter = retryAfter
        self.attempts = attempts
    }

    /// Whether the same request may succeed later without anybody changing anything.
    public var isRetryable: Bool {
        switch code {
        case .busy, .unavailable, .outcomeUnknown, .idempotencyInProgress, .queueFull, .lineClosed: true
        case .outOfStock(let shortfalls): shortfalls.allSatisfy(\.mayBecomeAvailable)
        default: false
        }
    }
}

extension ReservationError: CustomStringConvertible {
    /// The message.
    public var description: String { message }
}

extension ReservationError.Code {
    /// The code's name, constant over versions: fit for a metric's label and for the type of a problem document.
    public var name: String {
        switch self {
        case .outOfStock: "out-of-stock"
        case .seatUnavailable: "seat-unavailable"
        case .unknownBucket: "unknown-bucket"
        case .busy: "busy"
        case .unavailable: "unavailable"
        case .outcomeUnknown: "outcome-unknown"
        case .holdExpired: "hold-expired"
        case .alreadyConfirmed: "already-confirmed"
        case .alreadyCancelled: "already-cancelled"
        case .alreadyReturned: "already-returned"
        case .notConfirmed: "not-confirmed"
        case .extensionLimit: "extension-limit"
        case .notFound: "not-found"
        case .idempotencyKeyReused: "idempotency-key-reused"
        case .idempotencyInProgress: "idempotency-in-progress"
        case .holdLimit: "hold-limit"
        case .queueFull: "queue-full"
        case .lineClosed: "line-closed"
        case .queueLimit: "queue-limit"
        case .withdrawn: "withdrawn"
        case .turnMissed: "turn-missed"
        case .capacityBelowCommitments: "capacity-below-commitments"
        case .invalidRequest: "invalid-request"
        case .cancelled: "cancelled"
        case .closed: "closed"
        case .misconfigured: "misconfigured"
        case .failed: "failed"
        }
    }
}
