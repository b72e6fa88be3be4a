import Hiredis

/// What a server says about itself when we connect, and whether it can be a lock node.
struct ServerFacts: Equatable {
    var version = ""
    /// Changes with every start of the server process.
    var runID = ""
    var role = ""
    /// Bytes; 0 means no limit.
    var memoryLimit: Int64 = 0
    var evictionPolicy = ""
    /// Whether there is an append-only file; `nil` where the server does not say.
    var hasAppendOnlyFile: Bool?

    /// What ``parse(_:)`` wants to see the replies of.
    static let commands = [
        RedisCommand("INFO", "server"), RedisCommand("INFO", "memory"), RedisCommand("INFO", "persistence"),
        RedisCommand("ROLE"),
    ]

    /// - Throws: the first refusal, or `nil` facts when the replies make no sense.
    static func parse(_ replies: [RedisValue]) -> ServerFacts {
        var facts = ServerFacts()
        for reply in replies {
            if case .array(let elements) = reply, let role = elements.first?.string {
                facts.role = role
            } else if let text = reply.string {
                facts.read(text)
            }
        }
        return facts
    }

    private mutating func read(_ info: String) {
        for line in info.split(whereSeparator: \.isNewline) {
            guard let colon = line.firstIndex(of: ":") else { continue }
            let value = String(line[line.index(after: colon)...])
            switch line[..<colon] {
            case "redis_version": version = value
            case "run_id": runID = value
            case "maxmemory": memoryLimit = Int64(value) ?? 0
            case "maxmemory_policy": evictionPolicy = value
            case "aof_enabled": hasAppendOnlyFile = value != "0"
            default: break
            }
        }
    }

    /// What its operator should know, although it may serve.
    var caveat: String? {
        hasAppendOnlyFile == false
            ? "has no append-only file: a restart forgets locks that are held, and exclusion with them" : nil
    }

    /// Why this server must not be trusted with locks; `nil` when it may.
    func flaw(allowsEviction: Bool, isDurable: Bool) -> String? {
        if runID.isEmpty || version.isEmpty {
            return "does not say its version and run_id in INFO; is it a Redis server?"
        }
        if let major = version.split(separator: ".").first.flatMap({ Int($0) }), major < 5 {
            return "is Redis \(version); 5.0 or later is needed, 6.2 or later recommended"
        }
        if role != "master" {
            return "is a \(role.isEmpty ? "server without a role" : role), not a master; connect to the master"
        }
        if memoryLimit > 0 && evictionPolicy != "noeviction" && !allowsEviction {
            return "may evict keys (maxmemory-policy \(evictionPolicy)), locks and fencing counters among them; set "
                + "`maxmemory-policy noeviction`"
        }
        if isDurable && hasAppendOnlyFile == false {
            return "is said to be durable, but has no append-only file; set `appendonly yes` and `appendfsync always`"
        }
        return nil
    }
}
