extension ReservationError {
    /// A language in which a buyer is told what happened.
    public enum Language: String, Hashable, Sendable, CaseIterable {
        /// `en`
        case english = "en"
        /// `ko`
        case korean = "ko"

        /// The language of a BCP 47 tag such as `ko-KR`; English for a language that is not among them.
        public init(tag: String) {
            let primary = tag.lowercased().prefix { $0 != "-" && $0 != "_" }
            self = Language(rawValue: String(primary)) ?? .english
        }
    }

    /// What a buyer can read: what happened, with the numbers, and what to do next.
    ///
    /// The other members of the error are for programs and for operators; ``message`` is English and may name internals.
    public func sentence(in language: Language) -> String {
        switch language {
        case .english: EnglishSentences.sentence(for: self)
        case .korean: KoreanSentences.sentence(for: self)
        }
    }

    /// What a buyer can read, in the language of a BCP 47 tag such as `ko-KR`; in English when it is not among
    /// ``Language``.
    public func sentence(in tag: String) -> String {
        sentence(in: Language(tag: tag))
    }
}

extension Duration {
    /// Whole seconds, rounded up: who comes back then is not too early.
    var wholeSeconds: Int {
        let (seconds, attoseconds) = components
        return Int(clamping: seconds).addingClamped(attoseconds > 0 ? 1 : 0)
    }
}

enum EnglishSentences {
    static func sentence(for error: ReservationError) -> String {
        switch error.code {
        case .outOfStock(let shortfalls): shortfalls.map(sentence).joined(separator: " ")
        case .seatUnavailable(let conflicts, let yours, let alternatives): seats(conflicts, yours, alternatives)
        case .unknownBucket(let bucket): "There is no \(name(bucket)) on offer."
        case .busy: "Many people are booking at this moment. Nothing was changed. Please try again\(after(error))."
        case .unavailable:
            "We cannot take reservations at this moment, for a part of our system cannot be reached. Nothing was changed. "
                + "Please try again\(after(error))."
        case .outcomeUnknown:
            "We could not see whether your request went through. Please send the same request again\(after(error)), or "
                + "look at your reservations first."
        case .holdExpired: "The time for this reservation has run out, and it was released. Please reserve again."
        case .alreadyConfirmed: "This reservation is confirmed already."
        case .alreadyCancelled: "This reservation was cancelled before."
        case .alreadyReturned: "This reservation was returned before."
        case .notConfirmed: "This reservation is not confirmed, so there is nothing to return."
        case .extensionLimit: "This reservation cannot be held any longer. Please confirm it in time."
        case .notFound: "There is no such reservation."
        case .idempotencyKeyReused: "This request was sent before with other contents. Please start again."
        case .idempotencyInProgress: "Your request is being worked on. Please look again\(after(error))."
        case .holdLimit(let limit, let current):
            "You have \(current) unconfirmed reservation\(current == 1 ? "" : "s"), and can have \(limit) at most. Please "
                + "confirm or cancel one first."
        case .queueFull(let waiting):
            "\(waiting) people are waiting before you, which is too long a line. Nothing was changed. Please try again\(after(error))."
        case .lineClosed: "The line is not open at this moment. Nothing was changed. Please try again\(after(error))."
        case .queueLimit(let limit, let current):
            "You are in line with \(current) request\(current == 1 ? "" : "s") already, and can be with \(limit) at most."
        case .withdrawn: "You left the line before it was your turn. Nothing was reserved."
        case .turnMissed: "It was your turn while you were away, so the next one was served. Please line up again."
        case .capacityBelowCommitments(let bucket, 0): "There are not that many of \(name(bucket)) to take away."
        case .capacityBelowCommitments(let bucket, let committed):
            "\(committed) of \(name(bucket)) are held or sold, so there cannot be fewer."
        case .invalidRequest(let flaws): "This request cannot be: " + flaws.map(\.detail).joined(separator: " ")
        case .cancelled: "The request was cancelled. Nothing was changed."
        case .closed: "Reservations are closed at this moment. Please try again later."
        case .misconfigured, .failed: "Something is wrong on our side. Nothing was changed. Please try again later."
        }
    }

    private static func sentence(for shortfall: ReservationError.Shortfall) -> String {
        let bucket = name(shortfall.bucket)
        var parts: [String] = []
        if shortfall.available > 0 {
            parts.append("You asked for \(shortfall.requested) of \(bucket); \(shortfall.available) left.")
        } else if shortfall.heldByOthers > 0 || shortfall.heldByHolder > 0 {
            parts.append("You asked for \(shortfall.requested) of \(bucket); none is free.")
        } else {
            parts.append("You asked for \(shortfall.requested) of \(bucket); it is sold out.")
        }
        if shortfall.heldByHolder > 0 { parts.append("You are holding \(shortfall.heldByHolder) already.") }
        if shortfall.heldByOthers > 0 {
            let release = shortfall.nextReleaseIn.map { ", the first in \(text($0))" } ?? ""
            parts.append("Others are holding \(shortfall.heldByOthers), which may become free\(release).")
        }
        return parts.joined(separator: " ")
    }

    private static func seats(_ conflicts: [Bucket], _ yours: [Bucket], _ alternatives: [Bucket]) -> String {
        let taken = conflicts.filter { !yours.contains($0) }
        var parts: [String] = []
        if !taken.isEmpty {
            parts.append("\(taken.count == 1 ? "This seat is" : "These seats are") taken: \(labels(taken)).")
        }
        if !yours.isEmpty { parts.append("You are holding \(labels(yours)) already.") }
        parts.append(
            alternatives.isEmpty
                ? "Please choose again." : "Free near by: \(labels(alternatives)). Please choose again.")
        return parts.joined(separator: " ")
    }

    private static func labels(_ seats: [Bucket]) -> String { seats.map(\.label).joined(separator: ", ") }

    private static func name(_ bucket: Bucket) -> String {
        switch bucket.kind {
        case .counted: "\"\(bucket.item)\""
        case .seat: "seat \(bucket.label) of \"\(bucket.item)\""
        case .night: "\"\(bucket.item)\" on the night of \(bucket.night)"
        }
    }

    private static func after(_ error: ReservationError) -> String {
        error.retryAfter.map { " in \(text($0))" } ?? ""
    }

    static func text(_ duration: Duration) -> String {
        let seconds = max(1, duration.wholeSeconds)
        let parts = [(seconds / 3_600, "h"), (seconds % 3_600 / 60, "min"), (seconds % 60, "s")]
        return parts.filter { $0.0 > 0 }.map { "\($0.0) \($0.1)" }.joined(separator: " ")
    }
}

/// Names stand in quotation marks and before a noun, so that no particle has to fit their last sound.
enum KoreanSentences {
    static func sentence(for error: ReservationError) -> String {
        switch error.code {
        case .outOfStock(let shortfalls): shortfalls.map(sentence).joined(separator: " ")
        case .seatUnavailable(let conflicts, let yours, let alternatives): seats(conflicts, yours, alternatives)
        case .unknownBucket(let bucket): "\(name(bucket)) 상품을 찾을 수 없습니다."
        case .busy: "지금 예약이 몰리고 있습니다. 변경된 내용은 없습니다. \(after(error))다시 시도해 주세요."
        case .unavailable:
            "시스템 일부에 연결할 수 없어 지금은 예약을 처리할 수 없습니다. 변경된 내용은 없습니다. \(after(error))다시 시도해 주세요."
        case .outcomeUnknown:
            "요청이 처리되었는지 확인하지 못했습니다. \(after(error))같은 요청을 다시 보내시거나 먼저 예약 내역을 확인해 주세요."
        case .holdExpired: "예약 확정 시간이 지나 예약이 해제되었습니다. 다시 예약해 주세요."
        case .alreadyConfirmed: "이미 확정된 예약입니다."
        case .alreadyCancelled: "이미 취소된 예약입니다."
        case .alreadyReturned: "이미 반환된 예약입니다."
        case .notConfirmed: "아직 확정되지 않은 예약이라 반환할 수 없습니다."
        case .extensionLimit: "예약 시간을 더 연장할 수 없습니다. 시간 안에 확정해 주세요."
        case .notFound: "해당 예약을 찾을 수 없습니다."
        case .idempotencyKeyReused: "같은 요청 번호가 다른 내용으로 이미 사용되었습니다. 처음부터 다시 진행해 주세요."
        case .idempotencyInProgress: "요청을 처리하고 있습니다. \(after(error))다시 확인해 주세요."
        case .holdLimit(let limit, let current):
            "확정하지 않은 예약이 \(current)건 있습니다. 최대 \(limit)건까지 가능하니 먼저 확정하거나 취소해 주세요."
        case .queueFull(let waiting):
            "앞에 \(waiting)명이 기다리고 있어 대기열이 너무 깁니다. 변경된 내용은 없습니다. \(after(error))다시 시도해 주세요."
        case .lineClosed: "지금은 대기열이 열려 있지 않습니다. 변경된 내용은 없습니다. \(after(error))다시 시도해 주세요."
        case .queueLimit(let limit, let current):
            "이미 \(current)건이 대기 중입니다. 동시에 최대 \(limit)건까지 대기할 수 있습니다."
        case .withdrawn: "차례가 오기 전에 대기열에서 나오셨습니다. 예약된 내용은 없습니다."
        case .turnMissed: "차례가 되었을 때 자리에 계시지 않아 다음 분께 넘어갔습니다. 다시 줄을 서 주세요."
        case .capacityBelowCommitments(let bucket, 0): "\(name(bucket)) 수량이 그만큼 남아 있지 않아 줄일 수 없습니다."
        case .capacityBelowCommitments(let bucket, let committed):
            "\(name(bucket)) 수량 중 \(committed)개가 예약 또는 판매되어 그보다 줄일 수 없습니다."
        case .invalidRequest(let flaws): flaws.map(\.korean).joined(separator: " ")
        case .cancelled: "요청이 취소되었습니다. 변경된 내용은 없습니다."
        case .closed: "지금은 예약을 받지 않습니다. 잠시 후 다시 시도해 주세요."
        case .misconfigured, .failed: "서비스에 문제가 생겼습니다. 변경된 내용은 없습니다. 잠시 후 다시 시도해 주세요."
        }
    }

    private static func sentence(for shortfall: ReservationError.Shortfall) -> String {
        var parts: [String] = []
        let request = "\(name(shortfall.bucket)) \(shortfall.requested)개를 요청하셨으나"
        if shortfall.available > 0 {
            parts.append("\(request) \(shortfall.available)개만 남아 있습니다.")
        } else if shortfall.heldByOthers > 0 || shortfall.heldByHolder > 0 {
            parts.append("\(request) 지금 비어 있는 수량이 없습니다.")
        } else {
            parts.append("\(request) 모두 판매되었습니다.")
        }
        if shortfall.heldByHolder > 0 { parts.append("고객님이 이미 \(shortfall.heldByHolder)개를 예약 중이십니다.") }
        if shortfall.heldByOthers > 0 {
            let release = shortfall.nextReleaseIn.map { "빠르면 \(text($0)) 뒤에 " } ?? ""
            parts.append("다른 고객이 예약 중인 \(shortfall.heldByOthers)개가 \(release)풀릴 수 있습니다.")
        }
        return parts.joined(separator: " ")
    }

    private static func seats(_ conflicts: [Bucket], _ yours: [Bucket], _ alternatives: [Bucket]) -> String {
        let taken = conflicts.filter { !yours.contains($0) }
        var parts: [String] = []
        if !taken.isEmpty { parts.append("이미 예약된 좌석입니다: \(labels(taken)).") }
        if !yours.isEmpty { parts.append("고객님이 이미 예약 중인 좌석입니다: \(labels(yours)).") }
        if !alternatives.isEmpty { parts.append("가까운 빈 좌석: \(labels(alternatives)).") }
        parts.append("다른 좌석을 선택해 주세요.")
        return parts.joined(separator: " ")
    }

    private static func labels(_ seats: [Bucket]) -> String { seats.map(\.label).joined(separator: ", ") }

    private static func name(_ bucket: Bucket) -> String {
        switch bucket.kind {
        case .counted: "'\(bucket.item)'"
        case .seat: "'\(bucket.item)' \(bucket.label) 좌석"
        case .night: "'\(bucket.item)' \(bucket.night) 숙박"
        }
    }

    private static func after(_ error: ReservationError) -> String {
        error.retryAfter.map { "\(text($0)) 뒤에 " } ?? ""
    }

    static func text(_ duration: Duration) -> String {
        let seconds = max(1, duration.wholeSeconds)
        let parts = [(seconds / 3_600, "시간"), (seconds % 3_600 / 60, "분"), (seconds % 60, "초")]
        return parts.filter { $0.0 > 0 }.map { "\($0.0)\($0.1)" }.joined(separator: " ")
    }
}
