import RedisLocks

/// The four scripts of the wire protocol, line by line as the Lua files have them.
///
/// Lua's numbers are doubles, so ours are, too: a counter beyond 2^53 must go wrong here exactly as it does there.
extension InMemoryRedis {
    /// ACQUIRE. `runID` is what the client believes the server's run_id to be.
    package mutating func acquire(_ request: AcquireRequest, runID: [UInt8], at now: WallTime) -> Reply {
        reply { redis throws(ScriptError) in try redis.runAcquire(request, runID: runID, at: now) }
    }

    /// CONFIRM.
    package mutating func confirm(
        names: [LockName], owner: OwnerID, top: Int64, counterExpiry: Int64, at now: WallTime
    ) -> Reply {
        reply { redis throws(ScriptError) in
            guard try redis.owns(names, owner, at: now) || Mutant.isOn(.unconditionalWriteBack) else {
                return .array([.integer(0), .text("")])
            }
            var highest = 0.0
            for name in names {
                let value = try redis.counter(name, at: now)
                if value > highest { highest = value }
            }
            if highest > Double(top), !Mutant.isOn(.noOrderCheck) {
                return .array([.integer(-1), .text(Lua.format(highest))])
            }
            for name in names {
                redis.set(name.fenceKey, Array(String(top).utf8), expiringIn: counterExpiry, at: now)
            }
            return .array([.integer(1), .text(String(top))])
        }
    }

    /// EXTEND.
    package mutating func extend(
        names: [LockName], owner: OwnerID, ttl: Int64, top: Int64, counterExpiry: Int64, at now: WallTime
    ) -> Reply {
        reply { redis throws(ScriptError) in
            guard try redis.owns(names, owner, at: now) else {
                return .array([.integer(0), .integer(now.microseconds)])
            }
            var isLow: [Bool] = []
            for name in names { isLow.append(try redis.counter(name, at: now) < Double(top)) }
            for name in names { redis.expire(name.bytes, in: ttl, at: now) }
            for (name, isLow) in zip(names, isLow) {
                if isLow {
                    redis.set(name.fenceKey, Array(String(top).utf8), expiringIn: counterExpiry, at: now)
                } else {
                    redis.expire(name.fenceKey, in: counterExpiry, at: now)
                }
            }
            return .array([.integer(1), .integer(now.microseconds)])
        }
    }

    /// RELEASE.
    package mutating func release(names: [LockName], owner: OwnerID, at now: WallTime) -> Reply {
        reply { redis throws(ScriptError) in
            var deleted: Int64 = 0
            for name in names {
                let isOurs = try redis.get(name.bytes, at: now) == owner.bytes || Mutant.isOn(.deleteWithoutCompare)
                guard isOurs else { continue }
                if redis.delete(name.bytes, at: now) { deleted += 1 }
            }
            return .integer(deleted)
        }
    }

    private mutating func reply(
        _ script: (inout InMemoryRedis) throws(ScriptError) -> Reply
    ) -> Reply {
        do {
            return try script(&self)
        } catch {
            return .error(error.line)
        }
    }

    private func owns(_ names: [LockName], _ owner: OwnerID, at now: WallTime) throws(ScriptError) -> Bool {
        for name in names where try get(name.bytes, at: now) != owner.bytes { return false }
        return true
    }

    /// `tonumber(redis.call('GET', key) or '0')`, about to be compared.
    private func counter(_ name: LockName, at now: WallTime) throws(ScriptError) -> Double {
        guard let text = try get(name.fenceKey, at: now) else { return 0 }
        guard let value = Lua.number(text) else { throw .notANumber }
        return value
    }

    // MARK: ACQUIRE

    private mutating func runAcquire(
        _ request: AcquireRequest, runID: [UInt8], at now: WallTime
    ) throws(ScriptError) -> Reply {
        if let remaining = try quarantine(request, runID: runID, at: now) {
            return .array([.integer(-1), .text(""), .integer(remaining), .integer(now.microseconds)])
        }

        var mine = 0
        var free = 0
        var wait: Int64 = 0
        for name in request.names {
            let holder = try get(name.bytes, at: now)
            if holder == request.owner.bytes {
                mine += 1
            } else if holder == nil {
                free += 1
            } else {
                let left = self.remaining(name.bytes, at: now)
                if left < 0 { wait = -1 } else if wait >= 0, left > wait { wait = left }
            }
        }
        if mine + free < request.names.count {
            return .array([.integer(0), .text(""), .integer(wait), .integer(now.microseconds)])
        }

        var (top, counters) = try counters(of: request.names, at: now)
        var status: Int64 = 2
        if mine < request.names.count || counters < request.names.count {
            status = 1
            let anchor = now.microseconds - now.microseconds % request.granularityMicroseconds
            top = max(top, Double(anchor)) + Double(request.block)
            if top >= 9_007_199_254_740_991 { return .error("EXHAUSTED fencing counter") }
        }
        let text = Lua.format(top)
        for name in request.names {
            set(name.fenceKey, Array(text.utf8), expiringIn: request.counterExpiry, at: now)
        }
        for name in request.names { set(name.bytes, request.owner.bytes, expiringIn: request.ttl, at: now) }
        return .array([.integer(status), .text(text), .integer(request.ttl), .integer(now.microseconds)])
    }

    /// The restart guard: ms for which this node does not vote; `nil` when it does.
    private mutating func quarantine(
        _ request: AcquireRequest, runID: [UInt8], at now: WallTime
    ) throws(ScriptError) -> Int64? {
        guard request.guardTime > 0 else { return nil }
        if Mutant.isOn(.quarantineFromUptime) {
            let remaining = request.guardTime - (now.milliseconds - started.milliseconds)
            return remaining > 0 ? remaining : nil
        }
        let key = Boot.key
        let boot = try hash(key, at: now)
        let isSameProcess = boot[Boot.process] == runID
        var since = boot[Boot.since].flatMap(Lua.number)
        let mustStart = since.map { Double(now.milliseconds) < $0 } ?? true
        if mustStart || (!isSameProcess && !request.isDurable) {
            since = Double(now.milliseconds)
            try setField(Boot.process, of: key, to: runID, at: now)
            try setField(Boot.since, of: key, to: Array(Lua.format(Double(now.milliseconds)).utf8), at: now)
        }
        let remaining = Double(request.guardTime) - (Double(now.milliseconds) - (since ?? 0))
        return remaining > 0 ? Int64(remaining) : nil
    }

    private func counters(
        of names: [LockName], at now: WallTime
    ) throws(ScriptError) -> (top: Double, count: Int) {
        var top = 0.0
        var count = 0
        for name in names {
            guard let text = try get(name.fenceKey, at: now) else { continue }
            guard !text.isEmpty, text.allSatisfy({ (0x30...0x39).contains($0) }), let value = Lua.number(text) else {
                throw ScriptError("CORRUPT fencing counter")
            }
            count += 1
            if value > top { top = value }
        }
        return (top, count)
    }
}

/// The node's own record.
enum Boot {
    static let key = Array(LockName.bootKey.utf8)
    static let process = Array("rid".utf8)
    static let since = Array("since".utf8)
}

/// What Lua 5.1 makes of numbers.
enum Lua {
    /// `tonumber(text)`: spaces around it do not matter; hexadecimal and exponents are read, as `strtod` does.
    static func number(_ text: [UInt8]) -> Double? {
        if let digits = digits(text) { return Double(digits) }
        let isSpace = { (byte: UInt8) in byte == 0x20 || (0x09...0x0D).contains(byte) }
        let trimmed = text.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        return Double(String(decoding: Array(trimmed), as: UTF8.self))
    }

    /// What nearly every number is, read fast.
    private static func digits(_ text: [UInt8]) -> Int64? {
        guard !text.isEmpty, text.count <= 18 else { return nil }
        var number: Int64 = 0
        for byte in text {
            guard (0x30...0x39).contains(byte) else { return nil }
            number = number &* 10 &+ Int64(byte &- 0x30)
        }
        return number
    }

    /// `string.format('%.0f', number)`, up to 38 digits.
    static func format(_ number: Double) -> String {
        if number.magnitude < 1e18 { return String(Int64(number.rounded(.toNearestOrEven))) }
        guard number.isFinite, number.magnitude < 1e38 else { return String(describing: number) }
        return String(Int128(number.rounded(.toNearestOrEven)))
    }
}
