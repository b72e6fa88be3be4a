#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension Shortage {
    /// What a buyer is told.
    var shortfall: ReservationError.Shortfall {
        ReservationError.Shortfall(
            bucket: bucket, requested: requested, available: state?.available ?? 0, heldByOthers: heldByOthers,
            heldByHolder: heldByHolder, nextReleaseAt: nextReleaseAt,
            nextReleaseIn: nextReleaseAt.map { Duration(clampingSeconds: $0.timeIntervalSince(asOf)) })
    }
}

extension ReservationError {
    package static func invalid(
        _ pointer: String, _ detail: String, korean: String? = nil, attempts: Int = 0
    ) -> ReservationError {
        ReservationError(
            .invalidRequest([Flaw(pointer: pointer, detail: detail, korean: korean)]), detail, attempts: attempts)
    }

    static func invalid(_ pointer: String, _ wording: Wording) -> ReservationError {
        .invalid(pointer, wording.english, korean: wording.korean)
    }

    static func tooManyBuckets(_ count: Int, maximum: Int, strategy: String) -> ReservationError {
        .invalid(
            "/lines",
            "The cart has \(count) different things; with the strategy \"\(strategy)\" there can be \(maximum) at most.",
            korean: "한 번에 예약할 수 있는 종류는 최대 \(maximum)가지인데 \(count)가지를 요청하셨습니다.")
    }

    static func busy(attempts: Int, strategy: String) -> ReservationError {
        ReservationError(
            .busy(attempts: attempts, strategy: strategy),
            "Too many want the same at this moment: given up after \(attempts) attempt(s) with \(strategy).",
            retryAfter: RetryAdvice.busy(attempts: attempts), attempts: attempts)
    }

    static func aboveMaximum(_ bucket: Bucket, attempts: Int = 0) -> ReservationError {
        .invalid(
            "/delta", "The capacity of \(bucket) can be from 0 to \(bucket.maximumCapacity).",
            korean: "'\(bucket)' 수량은 0개부터 \(bucket.maximumCapacity)개까지 가능합니다.", attempts: attempts)
    }

    static func holdLimit(_ limit: Int?, _ current: Int, _ attempts: Int) -> ReservationError {
        let limit = limit ?? current
        return ReservationError(
            .holdLimit(limit: limit, current: current),
            "\(current) reservations of this holder are unconfirmed; at most \(limit) are allowed.", attempts: attempts)
    }

    static func queueFull(waiting: Int, serviceTime: Duration?) -> ReservationError {
        let drain = (serviceTime ?? .milliseconds(10)) * min(waiting, 1_000_000)
        return ReservationError(
            .queueFull(waiting: waiting), "\(waiting) requests wait in this line already.",
            retryAfter: RetryAdvice.jittered(min(max(.seconds(1), drain), .seconds(3_600))))
    }

    /// - Parameter hasEnded: whether it was open before.
    static func lineClosed(hasEnded: Bool) -> ReservationError {
        ReservationError(
            .lineClosed,
            hasEnded
                ? "The waiting line has ended in this process, and accepts nothing any more: another process may."
                : "The waiting line is not open yet in this process: its run() has not begun, or cannot reach the store.",
            retryAfter: RetryAdvice.jittered(.seconds(1)))
    }

    static func queueLimit(limit: Int, current: Int) -> ReservationError {
        ReservationError(
            .queueLimit(limit: limit, current: current),
            "\(current) requests of this holder wait for their turn; at most \(limit) may.")
    }

    static var stoppedWaiting: ReservationError {
        ReservationError(.cancelled, "The task was cancelled while it waited for its turn.")
    }

    static var withdrawn: ReservationError {
        ReservationError(.withdrawn, "The request was taken out of its line before its turn came.")
    }

    static var turnMissed: ReservationError {
        ReservationError(.turnMissed, "Nobody waited for the request when its turn came.")
    }

    static func notFound(attempts: Int) -> ReservationError {
        ReservationError(.notFound, "There is no such reservation.", attempts: attempts)
    }

    /// - Parameter message: what the store said last, if it was a failure.
    static func unknown(_ message: String?, _ doubt: Doubt, attempts: Int) -> ReservationError {
        let advice = RetryAdvice.busy(attempts: attempts)
        return ReservationError(
            .outcomeUnknown, message ?? mayStillTakeEffect,
            retryAfter: max(advice, RetryAdvice.jittered(doubt.remaining)), attempts: attempts)
    }

    /// An attempt under a key that nobody else knows is in progress.
    static func underWay(attempts: Int) -> ReservationError {
        ReservationError(
            .outcomeUnknown, mayStillTakeEffect, retryAfter: RetryAdvice.busy(attempts: attempts), attempts: attempts)
    }

    private static let mayStillTakeEffect = "An earlier attempt, whose answer was lost, may still take effect."

    static func keyProblem(_ problem: KeyProblem, attempts: Int) -> ReservationError {
        switch problem {
        case .reused:
            ReservationError(
                .idempotencyKeyReused, "The idempotency key was used for another request.", attempts: attempts)
        case .inProgress:
            ReservationError(
                .idempotencyInProgress, "A request with this idempotency key is being worked on.",
                retryAfter: RetryAdvice.inProgress(), attempts: attempts)
        }
    }

    /// - Parameters:
    ///   - shortages: at least one.
    ///   - alternatives: free seats, when seats are short.
    static func shortage(
        _ shortages: [Shortage], alternatives: [Bucket] = [], attempts: Int
    ) -> ReservationError {
        if let unknown = shortages.first(where: { $0.state == nil }) {
            return ReservationError(
                .unknownBucket(unknown.bucket), "\(unknown.bucket) has never been stocked.", attempts: attempts)
        }
        if shortages.allSatisfy({ $0.bucket.kind == .seat }) {
            let taken = shortages.map(\.bucket)
            return ReservationError(
                .seatUnavailable(
                    conflicts: taken, yours: shortages.filter { $0.heldByHolder > 0 }.map(\.bucket),
                    alternatives: alternatives),
                "Taken: " + taken.map(\.description).joined(separator: ", ") + ".", attempts: attempts)
        }
        let numbers = shortages.map(\.shortfall).map {
            "\($0.bucket): \($0.requested) asked for, \($0.available) left, \($0.heldByOthers) held by others"
        }
        return ReservationError(
            .outOfStock(shortages.map(\.shortfall)), numbers.joined(separator: "; ") + ".",
            retryAfter: RetryAdvice.outOfStock(shortages), attempts: attempts)
    }

    /// - Parameter reservation: as it is; its state forbids what was asked.
    static func conflict(_ reservation: Reservation, _ operation: String, attempts: Int) -> ReservationError {
        let time = reservation.resolvedAt ?? reservation.expiresAt
        let (code, message): (Code, String) =
            switch reservation.state {
            case .held: (.notConfirmed, "is not confirmed yet")
            case .confirmed: (.alreadyConfirmed(at: time), "is confirmed already")
            case .cancelled: (.alreadyCancelled(at: time), "was cancelled before")
            case .expired: (.holdExpired(at: time), "was not confirmed in time")
            case .returned: (.alreadyReturned(at: time), "was returned before")
            }
        return ReservationError(
            code, "Reservation \(reservation.id) \(message): \(operation) is not possible.", attempts: attempts)
    }

    /// What a store could not do.
    init(_ error: StoreError, attempts: Int, strategy: String) {
        if error.effect == .unknown {
            self.init(
                .outcomeUnknown, error.message, retryAfter: RetryAdvice.busy(attempts: attempts), attempts: attempts)
            return
        }
        switch error.code {
        case .busy:
            self.init(
                .busy(attempts: attempts, strategy: strategy), error.message,
                retryAfter: RetryAdvice.busy(attempts: attempts), attempts: attempts)
        case .unavailable:
            self.init(
                .unavailable, error.message, retryAfter: RetryAdvice.busy(attempts: attempts), attempts: attempts)
        case .cancelled: self.init(.cancelled, error.message, attempts: attempts)
        case .closed: self.init(.closed, error.message, attempts: attempts)
        case .misconfigured: self.init(.misconfigured, error.message, attempts: attempts)
        case .refusedByConstraint, .failed: self.init(.failed, error.message, attempts: attempts)
        }
    }
}
