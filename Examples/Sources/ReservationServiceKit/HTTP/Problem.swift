import Hummingbird
import Reservations

/// Why a request did not do what it asked for: RFC 9457, with a sentence that a buyer can read.
package struct Problem: Error, Sendable {
    /// What this service itself has to say; everything else comes from ``Reservations/ReservationError``.
    package enum Own: String, Sendable, CaseIterable {
        case unauthenticated, forbidden
        case crossOrigin = "cross-origin"
        case noSuchResource = "no-such-resource"
        case methodNotAllowed = "method-not-allowed"
        case idempotencyKeyMissing = "idempotency-key-missing"
        case malformedBody = "malformed-body"
        case bodyTooLarge = "body-too-large"
        case unsupportedMediaType = "unsupported-media-type"
        case rateLimited = "rate-limited"
        case tooManyStreams = "too-many-streams"
        case timedOut = "timed-out"
        case lineClosed = "line-closed"
        case rushRunning = "rush-running"
    }

    package let code: String
    package let status: HTTPResponse.Status
    package let isRetryable: Bool
    package var retryAfter: Duration?
    /// Members of its own.
    package var members: [(String, JSON?)] = []
    private let sentence: @Sendable (ReservationError.Language) -> String

    init(
        code: String, status: HTTPResponse.Status, isRetryable: Bool, retryAfter: Duration? = nil,
        members: [(String, JSON?)] = [], sentence: @escaping @Sendable (ReservationError.Language) -> String
    ) {
        self.code = code
        self.status = status
        self.isRetryable = isRetryable
        self.retryAfter = retryAfter
        self.members = members
        self.sentence = sentence
    }

    package func detail(in language: ReservationError.Language) -> String { sentence(language) }

    package func json(in language: ReservationError.Language) -> JSON {
        .members(
            [
                ("type", .string("/problems/\(code)")), ("title", .string(Self.title(of: code))),
                ("status", .int(status.code)), ("detail", .string(sentence(language))), ("code", .string(code)),
                ("retryable", .bool(isRetryable)), ("retryAfterSeconds", retryAfter.map { .int($0.wholeSecondsUp) }),
            ] + members)
    }

    package func response(in language: ReservationError.Language) -> Response {
        var headers: HTTPFields = [.contentLanguage: language.rawValue]
        if let retryAfter { headers[.retryAfter] = String(retryAfter.wholeSecondsUp) }
        if status == .unauthorized { headers[.wwwAuthenticate] = "Bearer" }
        return .json(json(in: language), status: status, type: "application/problem+json", headers: headers)
    }

    /// The code in words, the same in every language: for logs and people who debug.
    static func title(of code: String) -> String {
        let words = code.split(separator: "-").joined(separator: " ")
        return words.prefix(1).uppercased() + words.dropFirst()
    }
}

extension Duration {
    /// Rounded up: who comes back then is not too early.
    var wholeSecondsUp: Int {
        let (seconds, attoseconds) = components
        return Int(clamping: seconds) + (attoseconds > 0 ? 1 : 0)
    }
}

extension Problem {
    package init(_ own: Own, retryAfter: Duration? = nil, members: [(String, JSON?)] = []) {
        let (status, isRetryable): (HTTPResponse.Status, Bool) =
            switch own {
            case .unauthenticated: (.unauthorized, false)
            case .forbidden, .crossOrigin: (.forbidden, false)
            case .noSuchResource: (.notFound, false)
            case .methodNotAllowed: (.methodNotAllowed, false)
            case .idempotencyKeyMissing, .malformedBody: (.badRequest, false)
            case .bodyTooLarge: (.contentTooLarge, false)
            case .unsupportedMediaType: (.unsupportedMediaType, false)
            case .rateLimited: (.tooManyRequests, true)
            case .tooManyStreams, .timedOut, .lineClosed: (.serviceUnavailable, true)
            case .rushRunning: (.conflict, true)
            }
        self.init(
            code: own.rawValue, status: status, isRetryable: isRetryable, retryAfter: retryAfter, members: members
        ) { language in language == .korean ? own.korean : own.english }
    }
}

extension Problem.Own {
    fileprivate var english: String {
        switch self {
        case .unauthenticated: "We do not know who is asking. Please open the page first, or send a bearer token."
        case .forbidden: "This token does not allow that."
        case .crossOrigin: "This request came from another site, and was not carried out."
        case .noSuchResource: "There is nothing at this address."
        case .methodNotAllowed: "That cannot be done here."
        case .idempotencyKeyMissing:
            "The request needs an Idempotency-Key, so that it can be repeated without reserving twice."
        case .malformedBody: "The request's body is not JSON of the expected form."
        case .bodyTooLarge: "The request is too large."
        case .unsupportedMediaType: "The request's body must be application/json."
        case .rateLimited: "You are sending requests very quickly. Nothing was changed. Please wait a moment."
        case .tooManyStreams: "Many people are watching at this moment. Live updates will start again shortly."
        case .timedOut: "This took too long, and was given up. Please send the same request again."
        case .lineClosed: "The line is not open yet. Please send the same request again in a moment."
        case .rushRunning: "A rush is running. Please wait for its end."
        }
    }

    fileprivate var korean: String {
        switch self {
        case .unauthenticated: "누구의 요청인지 알 수 없습니다. 먼저 페이지를 열거나 토큰을 보내 주세요."
        case .forbidden: "이 토큰으로는 할 수 없는 작업입니다."
        case .crossOrigin: "다른 사이트에서 보낸 요청이라 처리하지 않았습니다."
        case .noSuchResource: "이 주소에는 아무것도 없습니다."
        case .methodNotAllowed: "여기서는 할 수 없는 작업입니다."
        case .idempotencyKeyMissing: "중복 예약을 막기 위해 Idempotency-Key가 필요합니다."
        case .malformedBody: "요청 본문이 올바른 형식의 JSON이 아닙니다."
        case .bodyTooLarge: "요청이 너무 큽니다."
        case .unsupportedMediaType: "요청 본문은 application/json이어야 합니다."
        case .rateLimited: "요청이 너무 잦습니다. 변경된 내용은 없습니다. 잠시만 기다려 주세요."
        case .tooManyStreams: "지금 보고 있는 사람이 많습니다. 실시간 표시는 곧 다시 시작됩니다."
        case .timedOut: "시간이 너무 오래 걸려 중단했습니다. 같은 요청을 다시 보내 주세요."
        case .lineClosed: "아직 대기열이 열리지 않았습니다. 잠시 후 같은 요청을 다시 보내 주세요."
        case .rushRunning: "이미 시연이 진행 중입니다. 끝날 때까지 기다려 주세요."
        }
    }
}
