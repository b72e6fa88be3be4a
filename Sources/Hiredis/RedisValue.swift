/// What a server replied.
package enum RedisValue: Sendable, Equatable {
    case null
    case integer(Int64)
    case status(String)
    case bulk([UInt8])
    case array([RedisValue])
    case error(RedisServerError)

    /// A status or bulk reply as text; bytes that are no UTF-8 become U+FFFD. `nil` for everything else.
    package var string: String? {
        switch self {
        case .status(let text): text
        case .bulk(let bytes): String(decoding: bytes, as: UTF8.self)
        case .null, .integer, .array, .error: nil
        }
    }

    /// An integer, or a bulk or status reply that spells one in decimal (scripts reply with strings beyond 2^53).
    package var integer: Int64? {
        switch self {
        case .integer(let value): value
        case .status, .bulk: string.flatMap { Int64($0) }
        case .null, .array, .error: nil
        }
    }

    package var array: [RedisValue]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    package var serverError: RedisServerError? {
        if case .error(let error) = self { error } else { nil }
    }

    package var isNull: Bool { self == .null }
}
