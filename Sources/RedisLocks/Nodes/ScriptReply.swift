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

    /// What is calculated with must not overflow, whatever a server says.
    private static let plausibleTimes: Range<Int64> = 1..<9_007_199_254_740_992

    /// The server's clock in microseconds: the last element of what ACQUIRE and EXTEND answer.
    static func serverTime(_ value: RedisValue) -> Int64? {
        guard let elements = value.array, case .integer(let time)? = elements.last else { return nil }
        return plausibleTimes.contains(time) ? time : nil
    }

    /// The replies to PTTL (-2 means no key, -1 no expiry), GET of the counter, HMGET of the boot record, and TIME.
    static func inspection(_ values: [RedisValue], runID: String, isDurable: Bool) -> Inspection? {
        guard values.count == 4, case .integer(let remaining) = values[0], remaining >= -2,
            let boot = values[2].array, boot.count == 2, let time = values[3].array, time.count == 2,
            let seconds = time[0].integer, let microseconds = time[1].integer
        else { return nil }
        guard seconds >= 0, seconds < plausibleTimes.upperBound / 1_000_000 else { return nil }
        let isKnown = boot[0].string == runID || (isDurable && boot[0].string != nil)
        return Inspection(
            isHeld: remaining != -2, remaining: remaining >= 0 ? remaining : nil, fence: values[1].integer,
            since: isKnown ? boot[1].integer.flatMap { plausibleTimes.contains($0) || $0 == 0 ? $0 : nil } : nil,
            now: seconds * 1000 + microseconds / 1000)
    }

    /// A fencing token: a positive number below 2^53, as the script prints it.
    private static func top(_ value: RedisValue) -> Int64? {
        guard case .bulk = value, let number = value.integer, number > 0, number < 9_007_199_254_740_992 else {
            return nil
        }
        return number
    }
}
