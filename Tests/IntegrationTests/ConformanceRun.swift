import RedisLocks
import RedisLocksTesting
import TestSupport

/// Takes every step twice, on a real server with the real scripts and on the one in memory, and looks for a difference.
///
/// The real server tells its time in nearly every reply; the model lives by that clock, so even anchored tokens are equal.
final class ConformanceRun {
    struct Difference: Error, CustomStringConvertible {
        let description: String
    }

    private let server: RedisTestServer
    private var model = InMemoryRedis(runID: Array("run-1".utf8))
    private var now: WallTime
    private let scripts: Scripts
    /// How often each kind of reply was seen: a suite that never saw one has not compared it.
    private(set) var seen: [String: Int] = [:]

    private struct Scripts {
        let acquire: String
        let confirm: String
        let extend: String
        let release: String
        let dump: String
    }

    /// Every key with its type, its expiry and its value; a hash's fields follow its name in a list of their own.
    private static let dump = """
        local all = {}
        for _, key in ipairs(redis.call('KEYS', '*')) do
          local kind = redis.call('TYPE', key).ok
          local value = kind == 'hash' and redis.call('HGETALL', key) or redis.call('GET', key)
          all[#all + 1] = {key, redis.call('PEXPIRETIME', key), value}
        end
        return all
        """

    /// How far apart the two sides' expiry times may be, in ms. The real server reads its clock twice in a script, and may be
    /// put aside in between; what is compared differs by 100,000,000.
    private static let tolerance: Int64 = 1_000_000

    init(server: RedisTestServer) throws {
        self.server = server
        func load(_ source: String) throws -> String { try server.command("SCRIPT", "LOAD", source) }
        scripts = Scripts(
            acquire: try load(LockScripts.acquire), confirm: try load(LockScripts.confirm),
            extend: try load(LockScripts.extend), release: try load(LockScripts.release), dump: try load(Self.dump))
        now = try Self.time(of: server)
    }

    private static func time(of server: RedisTestServer) throws -> WallTime {
        guard case .array(let parts) = try server.send(["TIME"]), parts.count == 2,
            let seconds = Int64(parts[0].description), let microseconds = Int64(parts[1].description)
        else { throw TestSupportError("TIME is not understood.") }
        return WallTime(microseconds: seconds * 1_000_000 + microseconds)
    }

    /// - Throws: ``Difference``.
    func run(seed: UInt64, mode: ConformanceGenerator.Mode, steps: Int) throws {
        try server.command("FLUSHALL")
        model.flush()
        var generator = try ConformanceGenerator(seed: seed, mode: mode)
        for number in 1...steps {
            let step = generator.next(now: now)
            do {
                let process = bootField("rid")
                let reply = try take(step)
                if let reply { remark(step, reply, process: process) }
                if case .array(let elements)? = reply, case .acquire = step, elements.count == 4,
                    case .text(let digits) = elements[1], let top = Int64(String(decoding: digits, as: UTF8.self))
                {
                    generator.granted(top: top)
                }
                try compareKeys()
            } catch let difference as Difference {
                throw Difference(
                    description: "seed \(seed), mode \(mode), step \(number), \(step): \(difference.description)")
            }
        }
    }

    /// Notes what is special about a step that was compared.
    private func remark(_ step: ConformanceStep, _ reply: InMemoryRedis.Reply, process: String?) {
        func note(_ remark: String) { seen["\(remark) \(reply.kind)", default: 0] += 1 }
        switch step {
        case .acquire(let request, let runID):
            if request.names.count > 1 { note("acquire of a set") }
            if request.block > 1 { note("acquire of a block") }
            guard request.guardTime > 0 else { return }
            if process == nil { note("acquire at a node without a record") }
            let isAnotherProcess = process != nil && process != runID
            if isAnotherProcess {
                note(request.isDurable ? "acquire after a durable restart" : "acquire after a restart")
            }
        case .confirm(let names, _, _, _): if names.count > 1 { note("confirm of a set") }
        case .extend(let names, _, _, _, _): if names.count > 1 { note("extend of a set") }
        default: break
        }
    }

    private func take(_ step: ConformanceStep) throws -> InMemoryRedis.Reply? {
        switch step {
        case .acquire(let request, let runID):
            return try both(
                "acquire", scripts.acquire,
                keys: request.names.map(\.string) + request.names.map(\.fence) + [LockName.bootKey],
                [
                    request.owner.text, "\(request.ttl)", "\(request.granularityMicroseconds)", "\(request.block)",
                    "\(request.counterExpiry)", "\(request.guardTime)", runID, request.isDurable ? "1" : "0",
                ]
            ) { $0.acquire(request, runID: Array(runID.utf8), at: $1) }
        case .confirm(let names, let owner, let top, let expiry):
            return try both(
                "confirm", scripts.confirm, keys: names.map(\.string) + names.map(\.fence),
                [owner.text, "\(top)", "\(expiry)"]
            ) { $0.confirm(names: names, owner: owner, top: top, counterExpiry: expiry, at: $1) }
        case .extend(let names, let owner, let ttl, let top, let expiry):
            return try both(
                "extend", scripts.extend, keys: names.map(\.string) + names.map(\.fence),
                [owner.text, "\(ttl)", "\(top)", "\(expiry)"]
            ) { $0.extend(names: names, owner: owner, ttl: ttl, top: top, counterExpiry: expiry, at: $1) }
        case .release(let names, let owner):
            return try both("release", scripts.release, keys: names.map(\.string), [owner.text]) {
                $0.release(names: names, owner: owner, at: $1)
            }
        case .delete(let key):
            try server.command("DEL", key)
            model.delete(Array(key.utf8), at: now)
        case .set(let key, let value, let expiry):
            let result = try server.send(["SET", key, value] + (expiry.map { ["PX", "\($0)"] } ?? []))
            guard result == .text("OK") else { throw Difference(description: "SET: \(result)") }
            let entry = InMemoryRedis.Entry(
                .string(Array(value.utf8)), expiry: expiry.map { now.milliseconds + $0 })
            model.set(Array(key.utf8), to: entry)
        case .setField(let key, let field, let value):
            setField(key, field, value, isHash: try server.send(["HSET", key, field, value]) != .wrongType)
        case .flush:
            try server.command("FLUSHALL")
            model.flush()
        }
        return nil
    }

    private func setField(_ key: String, _ field: String, _ value: String, isHash: Bool) {
        guard isHash else { return }
        var entry = model.entry(Array(key.utf8), at: now) ?? InMemoryRedis.Entry(.hash([:]))
        guard case .hash(var fields) = entry.value else { return }
        fields[Array(field.utf8)] = Array(value.utf8)
        entry.value = .hash(fields)
        model.set(Array(key.utf8), to: entry)
    }

    // MARK: Comparing

    private func both(
        _ name: String, _ script: String, keys: [String], _ arguments: [String],
        _ body: (inout InMemoryRedis, WallTime) -> InMemoryRedis.Reply
    ) throws -> InMemoryRedis.Reply {
        let real = InMemoryRedis.Reply(try server.send(["EVALSHA", script, "\(keys.count)"] + keys + arguments))
        try setTime(from: real)
        let ours = body(&model, now)
        seen["\(name) \(real.kind)", default: 0] += 1
        guard real.isSame(as: ours, tolerance: Self.tolerance) else {
            throw Difference(description: "the server replies \(real), the model \(ours)")
        }
        return real
    }

    /// The server's own time in this step: it is in the reply, or in what an ACQUIRE that failed later left in the boot record.
    private func setTime(from reply: InMemoryRedis.Reply) throws {
        if case .array(let elements) = reply, case .integer(let microseconds)? = elements.last {
            now = WallTime(microseconds: microseconds)
        } else if case .error = reply, case .text(let text) = try server.send(["HGET", LockName.bootKey, "since"]),
            let since = Int64(text), !hasBoot(since: text), abs(since - now.milliseconds) < Self.tolerance
        {
            now = WallTime(microseconds: since * 1000)
        }
    }

    private func hasBoot(since: String) -> Bool { bootField("since") == since }

    private func bootField(_ name: String) -> String? {
        guard case .hash(let fields) = model.entry(Array(LockName.bootKey.utf8), at: now)?.value else { return nil }
        return fields[Array(name.utf8)].map(\.text)
    }

    private func compareKeys() throws {
        let real = try realKeys()
        let ours = model.keys(at: now)
        guard Set(real.keys) == Set(ours.keys) else {
            throw Difference(description: "the server has \(real.keys.map(\.text)), the model \(ours.keys.map(\.text))")
        }
        for (key, entry) in real {
            guard let our = ours[key], our.value == entry.value, our.expiry.isClose(to: entry.expiry, Self.tolerance)
            else {
                throw Difference(
                    description: "\(key.text): the server has \(entry), the model \(String(describing: ours[key]))")
            }
            // Differences of a few ms do not add up.
            model.set(key, to: entry)
        }
    }

    private func realKeys() throws -> [[UInt8]: InMemoryRedis.Entry] {
        guard case .array(let rows) = try server.send(["EVALSHA", scripts.dump, "0"]) else {
            throw TestSupportError("The dump is not understood.")
        }
        var entries: [[UInt8]: InMemoryRedis.Entry] = [:]
        for case .array(let row) in rows where row.count == 3 {
            guard case .text(let key) = row[0], case .integer(let expiry) = row[1] else { continue }
            let value: InMemoryRedis.Value
            switch row[2] {
            case .text(let text): value = .string(Array(text.utf8))
            case .array(let list):
                var fields: [[UInt8]: [UInt8]] = [:]
                for index in stride(from: 0, to: list.count, by: 2) {
                    fields[Array(list[index].description.utf8)] = Array(list[index + 1].description.utf8)
                }
                value = .hash(fields)
            default: continue
            }
            entries[Array(key.utf8)] = InMemoryRedis.Entry(value, expiry: expiry < 0 ? nil : Int64(expiry))
        }
        return entries
    }
}

extension InMemoryRedis.Reply {
    init(_ reply: TestReply) {
        switch reply {
        case .text(let text): self = .text(text)
        case .error(let line): self = .error(line)
        case .integer(let number): self = .integer(Int64(number))
        case .array(let elements): self = .array(elements.map { Self($0) })
        case .null: self = .text("")
        }
    }

    /// The first word of an error: Redis appends where in the script it happened.
    private var code: Substring? {
        if case .error(let line) = self { line.prefix { $0 != " " } } else { nil }
    }

    var kind: String {
        switch self {
        case .error: String(code ?? "")
        case .array(let elements): elements.first?.kind ?? ""
        case .integer(let number): "\(number)"
        case .text: "text"
        }
    }

    /// Equal, but for the milliseconds of somebody else's remaining time, and for what follows an error's code.
    func isSame(as other: Self, tolerance: Int64) -> Bool {
        if let code { return code == other.code }
        if case .array(let mine) = self, case .array(let theirs) = other, mine.count == 4, theirs.count == 4,
            mine[0] == .integer(0), theirs[0] == .integer(0),
            case .integer(let left) = mine[2], case .integer(let right) = theirs[2]
        {
            let isUnknown = left < 0 || right < 0
            return mine[1] == theirs[1] && (isUnknown ? left == right : abs(left - right) < tolerance)
        }
        return self == other
    }
}

extension TestReply {
    fileprivate static let wrongType = TestReply.error(
        "WRONGTYPE Operation against a key holding the wrong kind of value")
}

extension Int64? {
    fileprivate func isClose(to other: Int64?, _ tolerance: Int64) -> Bool {
        guard let self, let other else { return self == other }
        return abs(self - other) < tolerance
    }
}

extension [UInt8] {
    fileprivate var text: String { String(decoding: self, as: UTF8.self) }
}

extension LockName {
    fileprivate var fence: String { fenceKey.text }
}

extension OwnerID {
    fileprivate var text: String { bytes.text }
}
