import Hiredis
import RedisLocks

/// What the engine asks of a node, executed at once, and the replies as the engine sees them.
extension InMemoryRedis {
    /// Executes one request. The reply is what the production node makes of the same server's reply.
    package mutating func execute(_ request: NodeRequest, at now: WallTime) -> NodeResponse {
        switch request {
        case .acquire(let arguments):
            decode(acquire(arguments, runID: runID, at: now), Self.acquired)
        case .confirm(let names, let owner, let top, let counterExpiry):
            decode(
                confirm(names: names, owner: owner, top: top, counterExpiry: counterExpiry, at: now), Self.confirmed)
        case .extend(let names, let owner, let ttl, let top, let counterExpiry):
            decode(
                extend(names: names, owner: owner, ttl: ttl, top: top, counterExpiry: counterExpiry, at: now),
                Self.extended)
        case .release(let names, let owner):
            decode(release(names: names, owner: owner, at: now)) { $0.first?.integer.map(NodeReply.released) }
        case .inspect(let name):
            .reply(inspect(name, at: now))
        case .breakLock(let name):
            .reply(.released(delete(name.bytes, at: now) ? 1 : 0))
        case .findCounter:
            .reply(counterKey(at: now).map(NodeReply.holdsCounter) ?? .pong)
        case .initialize(let isForced):
            .reply(initialize(isForced: isForced, at: now))
        case .ping:
            .reply(.pong)
        }
    }

    private func counterKey(at now: WallTime) -> String? {
        keys(at: now).keys.map { String(decoding: $0, as: UTF8.self) }
            .filter { $0.hasPrefix("{") && $0.hasSuffix("}:fence") }.min()
    }

    private mutating func initialize(isForced: Bool, at now: WallTime) -> NodeReply {
        if let counter = counterKey(at: now), !isForced { return .holdsCounter(counter) }
        set(
            Array(LockName.bootKey.utf8),
            to: Entry(.hash([Array("rid".utf8): runID, Array("since".utf8): Array("0".utf8)])))
        return .initialized
    }

    private func inspect(_ name: LockName, at now: WallTime) -> NodeReply {
        let remaining = remaining(name.bytes, at: now)
        let fence = (try? get(name.fenceKey, at: now)).flatMap { Int64(String(decoding: $0, as: UTF8.self)) }
        let boot = (try? hash(Array(LockName.bootKey.utf8), at: now)) ?? [:]
        let since = boot[Array("rid".utf8)] == runID ? boot[Array("since".utf8)].flatMap(Lua.number) : nil
        return .inspected(
            Inspection(
                isHeld: remaining != -2, remaining: remaining >= 0 ? remaining : nil, fence: fence,
                since: since.map { Int64($0) }, now: now.milliseconds))
    }

    private func decode(_ reply: Reply, _ convert: ([Reply]) -> NodeReply?) -> NodeResponse {
        let elements: [Reply]
        switch reply {
        case .error(let line): return .failure(NodeFailure(RedisServerError(line)))
        case .array(let array): elements = array
        case .integer, .text: elements = [reply]
        }
        // A counter that someone else set beyond 2^53 is all that ends here.
        guard let converted = convert(elements) else {
            return .failure(NodeFailure(.ambiguous, .refused("answered something else than was asked")))
        }
        return .reply(converted)
    }

    private static func acquired(_ reply: [Reply]) -> NodeReply? {
        guard reply.count == 4, let milliseconds = reply[2].integer else { return nil }
        switch reply[0].integer {
        case 1: return reply[1].token.map(NodeReply.granted)
        case 2: return reply[1].token.map(NodeReply.alreadyOurs)
        case 0: return .held(remaining: milliseconds < 0 ? nil : milliseconds)
        case -1: return .quarantined(remaining: milliseconds)
        default: return nil
        }
    }

    private static func confirmed(_ reply: [Reply]) -> NodeReply? {
        guard reply.count == 2 else { return nil }
        switch reply[0].integer {
        case 1: return .confirmed
        case 0: return .notOurs
        case -1: return reply[1].token.map(NodeReply.raised)
        default: return nil
        }
    }

    private static func extended(_ reply: [Reply]) -> NodeReply? {
        switch reply.first?.integer {
        case 1: .extended
        case 0: .notOurs
        default: nil
        }
    }
}

extension InMemoryRedis.Reply {
    fileprivate var integer: Int64? {
        if case .integer(let value) = self { value } else { nil }
    }

    fileprivate var token: Int64? {
        guard case .text(let digits) = self, let number = Int64(String(decoding: digits, as: UTF8.self)) else {
            return nil
        }
        return number > 0 && number < 9_007_199_254_740_992 ? number : nil
    }
}
