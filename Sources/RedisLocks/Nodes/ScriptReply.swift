import Hiredis

/// The scripts' replies as values; `nil` for what no script of ours says.
enum ScriptReply {
    static func acquire(_ value: RedisValue) -> NodeReply? {
        guard let elements = value.array, elements.count == 4, case .integer(let status) = elements[0],
            case .integer(let milliseconds) = elements[2]
        else { return nil }
        switch status {
        case 1: return top(elements[1]).map { .granted(top: $0) }
        case 2: return top(elements[1]).map { .alreadyOurs(top: $0) }
        case 0: return .held(remaining: milliseconds < 0 ? nil : milliseconds)
        case -1: return .quarantined(remaining: max(milliseconds, 0))
        default: return nil
        }
    }

    static func confirm(_ value: RedisValue) -> NodeReply? {
        guard let elements = value.array, elements.count == 2, case .integer(let status) = elements[0] else {
            return nil
        }
        switch status {
        case 1: return .confirmed
        case 0: return .notOurs
        case -1: return top(elements[1]).map { .raised(top: $0) }
        default: return nil
        }
    }

    static func extend(_ value: RedisValue) -> NodeReply? {
        guard let elements = value.array, elements.count == 2, case .integer(let status) = elements[0] else {
            return nil
        }
        switch status {
        case 1: return .extended
        case 0: return .notOurs
        default: return nil
        }
    }

    static func release(_ value: RedisValue) -> NodeReply? {
        guard case .integer(let count) = value, count >= 0 else { return nil }
        return .released(count)
    }

    static func ping(_ value: RedisValue) -> NodeReply? {
        value.string == "PONG" ? .pong : nil
    }

    /// PTTL: -2 means no key, -1 no expiry.
    static func expiry(_ value: RedisValue) -> NodeReply? {
        guard case .integer(let milliseconds) = value, milliseconds >= -2 else { return nil }
        return .inspected(isHeld: milliseconds != -2, remaining: milliseconds >= 0 ? milliseconds : nil, fence: nil)
    }

    /// A fencing token: a positive number below 2^53, as the script prints it.
    private static func top(_ value: RedisValue) -> Int64? {
        guard case .bulk = value, let number = value.integer, number > 0, number < 9_007_199_254_740_992 else {
            return nil
        }
        return number
    }
}
