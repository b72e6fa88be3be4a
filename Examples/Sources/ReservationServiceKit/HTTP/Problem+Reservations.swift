import Hummingbird
import Reservations

extension Problem {
    /// - Parameter catalogue: how buyers know the items.
    package init(_ error: ReservationError, _ catalogue: Catalogue) {
        self.init(
            code: error.code.name, status: Self.status(of: error.code), isRetryable: error.isRetryable,
            retryAfter: error.retryAfter, members: Self.members(of: error)
        ) { language in error.sentence(in: language) { catalogue.title(of: $0, in: language) } }
    }

    private static func status(of code: ReservationError.Code) -> HTTPResponse.Status {
        switch code {
        case .unknownBucket, .notFound: .notFound
        case .busy, .queueFull, .lineClosed, .unavailable, .outcomeUnknown, .cancelled, .closed: .serviceUnavailable
        case .holdExpired: .gone
        case .idempotencyKeyReused, .invalidRequest: .unprocessableContent
        case .misconfigured, .failed: .internalServerError
        default: .conflict
        }
    }

    private static func members(of error: ReservationError) -> [(String, JSON?)] {
        switch error.code {
        case .outOfStock(let shortfalls): outOfStock(shortfalls)
        case .seatUnavailable(let conflicts, let yours, let alternatives):
            [("conflicts", conflicts.json), ("yours", yours.json), ("alternatives", alternatives.json)]
        case .unknownBucket(let bucket): [("bucket", bucket.json)]
        case .busy(let attempts, let strategy):
            [("attempts", .int(attempts)), ("strategy", .string(strategy))]
        case .holdExpired(let time): [("state", .string("expired")), ("resolvedAt", .time(time))]
        case .alreadyConfirmed(let time): [("state", .string("confirmed")), ("resolvedAt", .time(time))]
        case .alreadyCancelled(let time): [("state", .string("cancelled")), ("resolvedAt", .time(time))]
        case .alreadyReturned(let time): [("state", .string("returned")), ("resolvedAt", .time(time))]
        case .extensionLimit(let deadline): [("hardDeadline", .time(deadline))]
        case .queueFull(let waiting): [("waiting", .int(waiting))]
        case .holdLimit(let limit, let current), .queueLimit(let limit, let current):
            [("limit", .int(limit)), ("current", .int(current))]
        case .capacityBelowCommitments(let bucket, let committed):
            [("bucket", bucket.json), ("committed", .int(committed))]
        case .invalidRequest(let flaws): [("errors", errors(flaws.map { ($0.pointer, $0.detail) }))]
        default: []
        }
    }

    private static func outOfStock(_ shortfalls: [ReservationError.Shortfall]) -> [(String, JSON?)] {
        // A cart is short of its whole when it is short of one line: the numbers are of the line that is shortest.
        let worst = shortfalls.min { $0.available - $0.requested < $1.available - $1.requested }
        let lines = shortfalls.map { short in
            JSON.members(
                short.bucket.members + [
                    ("requested", .int(short.requested)), ("available", .int(short.available)),
                    ("heldByOthers", .int(short.heldByOthers)), ("heldByYou", .int(short.heldByHolder)),
                    ("nextReleaseAt", short.nextReleaseAt.map(JSON.time)),
                    ("nextReleaseInSeconds", short.nextReleaseIn.map { .int($0.wholeSecondsUp) }),
                ])
        }
        return [
            ("requested", worst.map { .int($0.requested) }), ("available", worst.map { .int($0.available) }),
            ("heldByOthers", worst.map { .int($0.heldByOthers) }), ("heldByYou", worst.map { .int($0.heldByHolder) }),
            ("nextReleaseAt", worst?.nextReleaseAt.map(JSON.time)),
            ("nextReleaseInSeconds", worst?.nextReleaseIn.map { .int($0.wholeSecondsUp) }), ("lines", .array(lines)),
        ]
    }

    static func errors(_ flaws: [(pointer: String, detail: String)]) -> JSON {
        .array(flaws.map { .object([("pointer", .string($0.pointer)), ("detail", .string($0.detail))]) })
    }

    /// A flaw in the request that only this service can see.
    static func invalid(_ pointer: String, _ detail: String) -> Problem {
        Problem(
            code: "invalid-request", status: .unprocessableContent, isRetryable: false,
            members: [("errors", errors([(pointer, detail)]))]
        ) { language in
            language == .korean ? "요청 내용이 올바르지 않습니다: \(pointer)" : "This request cannot be: \(detail)"
        }
    }
}

extension Bucket {
    /// How the API names it.
    package var members: [(String, JSON?)] {
        [
            ("item", .string(item)), ("seat", kind == .seat ? .string(label) : nil),
            ("night", kind == .night ? .string(night) : nil),
        ]
    }

    package var json: JSON { .members(members) }
}

extension [Bucket] {
    package var json: JSON { .array(map(\.json)) }
}
