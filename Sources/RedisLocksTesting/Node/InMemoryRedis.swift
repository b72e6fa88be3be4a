import RedisLocks

/// The part of a Redis server that the lock scripts can see, as a value: strings and hashes with expiry, and a run_id.
///
/// Every call is told the time of the server's own wall clock, so that whoever drives it - the test bed, or a simulator
/// with clocks that drift - decides what time it is. Expiry is lazy, which no client can tell from Redis' own.
package struct InMemoryRedis: Sendable, Equatable {
    package enum Value: Sendable, Equatable {
        case string([UInt8])
        case hash([[UInt8]: [UInt8]])
    }

    package struct Entry: Sendable, Equatable {
        package var value: Value
        /// ms of the server's wall clock; `nil` never.
        package var expiry: Int64?

        package init(_ value: Value, expiry: Int64? = nil) {
            self.value = value
            self.expiry = expiry
        }
    }

    /// A reply as the wire has it, without its framing.
    package indirect enum Reply: Sendable, Equatable {
        case integer(Int64)
        case text([UInt8])
        case array([Reply])
        /// The whole line, without the dash; its first word is the code.
        case error(String)

        package static func text(_ text: String) -> Reply { .text(Array(text.utf8)) }
    }

    /// 40 hexadecimal digits that change with every start of the process.
    package var runID: [UInt8]
    /// When the process started, by its own wall clock: what INFO counts its uptime from.
    package var started = WallTime(microseconds: 0)
    private var entries: [[UInt8]: Entry] = [:]

    package init(runID: [UInt8]) {
        self.runID = runID
    }

    // MARK: Keys

    /// Every key that has not expired.
    package func keys(at now: WallTime) -> [[UInt8]: Entry] {
        entries.filter { !Self.isExpired($0.value, at: now) }
    }

    package func entry(_ key: [UInt8], at now: WallTime) -> Entry? {
        guard let entry = entries[key], !Self.isExpired(entry, at: now) else { return nil }
        return entry
    }

    package mutating func set(_ key: [UInt8], to entry: Entry) {
        entries[key] = entry
    }

    /// Returns whether there was one.
    @discardableResult
    package mutating func delete(_ key: [UInt8], at now: WallTime) -> Bool {
        let existed = entry(key, at: now) != nil
        entries[key] = nil
        return existed
    }

    package mutating func flush() {
        entries.removeAll()
    }

    /// Redis keeps a key through its last millisecond.
    private static func isExpired(_ entry: Entry, at now: WallTime) -> Bool {
        entry.expiry.map { now.milliseconds > $0 } ?? false
    }
}

/// The time of a server's wall clock: what `TIME` answers.
package struct WallTime: Sendable, Hashable, Comparable {
    package var microseconds: Int64

    package init(microseconds: Int64) {
        self.microseconds = microseconds
    }

    package var milliseconds: Int64 { microseconds / 1000 }

    package static func < (left: WallTime, right: WallTime) -> Bool {
        left.microseconds < right.microseconds
    }
}

// MARK: - Commands inside scripts

/// An error raised by a command or by Lua itself: it ends the script, and what was written stays written.
struct ScriptError: Error {
    let line: String

    init(_ line: String) {
        self.line = line
    }

    static let wrongType = ScriptError("WRONGTYPE Operation against a key holding the wrong kind of value")
    /// Lua's own complaint about comparing what `tonumber` could not read.
    static let notANumber = ScriptError("ERR attempt to compare number with nil")
}

extension InMemoryRedis {
    func get(_ key: [UInt8], at now: WallTime) throws(ScriptError) -> [UInt8]? {
        switch entry(key, at: now)?.value {
        case .string(let bytes): return bytes
        case .hash: throw .wrongType
        case nil: return nil
        }
    }

    func hash(_ key: [UInt8], at now: WallTime) throws(ScriptError) -> [[UInt8]: [UInt8]] {
        switch entry(key, at: now)?.value {
        case .hash(let fields): return fields
        case .string: throw .wrongType
        case nil: return [:]
        }
    }

    mutating func setField(_ field: [UInt8], of key: [UInt8], to value: [UInt8], at now: WallTime) throws(ScriptError) {
        var fields = try hash(key, at: now)
        fields[field] = value
        entries[key] = Entry(.hash(fields), expiry: entry(key, at: now)?.expiry)
    }

    /// `SET key value PX milliseconds`: replaces whatever was there, of any type.
    mutating func set(_ key: [UInt8], _ value: [UInt8], expiringIn milliseconds: Int64, at now: WallTime) {
        entries[key] = Entry(.string(value), expiry: now.milliseconds + milliseconds)
    }

    /// `PTTL key`: -1 without expiry, -2 without key.
    func remaining(_ key: [UInt8], at now: WallTime) -> Int64 {
        guard let entry = entry(key, at: now) else { return -2 }
        return entry.expiry.map { max(0, $0 - now.milliseconds) } ?? -1
    }

    /// `PEXPIRE key milliseconds`.
    mutating func expire(_ key: [UInt8], in milliseconds: Int64, at now: WallTime) {
        guard var entry = entry(key, at: now) else { return }
        entry.expiry = now.milliseconds + milliseconds
        entries[key] = entry
    }
}
