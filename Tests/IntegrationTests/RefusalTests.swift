import TestSupport
import Testing

@testable import RedisLocks

@Suite("Servers that cannot be lock nodes, and errors of those that are", .timeLimit(.minutes(2)))
struct RefusalTests {
    /// What an acquire with a long wait says: settings must not use it up.
    func error(
        _ url: String, configuration: RedisLocks.Configuration = .init(), name: String = "x"
    ) async throws -> LockError {
        try await RedisLocks.with(.node(url), configuration: configuration) { locks in
            try await #require(throws: LockError.self) {
                _ = try await locks.acquire(name, wait: .upTo(.seconds(3600)))
            }
        }
    }

    @Test("A wrong or missing password is a setting, and is not shown")
    func credentials() async throws {
        var options = RedisTestServer.Options()
        options.password = "correct-horse"
        try await RedisTestServer.with(options) { server in
            let wrong = try await error(server.url(password: "battery-staple"))
            #expect(wrong.code == .misconfigured)
            #expect("\(wrong)".contains("WRONGPASS"))
            #expect(!"\(wrong)".contains("battery-staple"))
            let missing = try await error("redis://127.0.0.1:\(server.port)")
            #expect(missing.code == .misconfigured)
            #expect("\(missing)".contains("NOAUTH"))
            #expect("\(missing)".contains("127.0.0.1:\(server.port)"))
            try await RedisLocks.with(.node(server.url(password: "correct-horse"))) { locks in
                let token = try await locks.withLock("x") { $0.fencingToken }
                #expect(token > 0)
            }
        }
    }

    @Test("A user without EVALSHA is told which permission is missing")
    func permissions() async throws {
        var options = RedisTestServer.Options()
        options.users = ["narrow on >secret ~* &* +@all -evalsha"]
        try await RedisTestServer.with(options) { server in
            let denied = try await error(server.url(user: "narrow", password: "secret"))
            #expect(denied.code == .misconfigured)
            #expect("\(denied)".lowercased().contains("evalsha"))
            #expect(!"\(denied)".contains("secret"))
        }
    }

    @Test("The minimal user of the documentation can do everything, and no more than its names")
    func minimalUser() async throws {
        let page = try readText(sourceFolder(above: #filePath) + "/Sources/RedisLocks/RedisLocks.docc/Operations.md")
        let line = try #require(page.split(separator: "\n").first { $0.hasPrefix("ACL SETUSER locks ") })
        let rule = line.dropFirst("ACL SETUSER ".count).replacing("PASSWORD", with: "secret")
        try await RedisTestServer.with { server in
            _ = try server.send(["ACL", "SETUSER"] + rule.split(separator: " ").map(String.init))
            try await RedisLocks.with(.node(server.url(user: "locks", password: "secret"))) { locks in
                try await locks.connect()
                let lease = try await locks.acquire(["seat:1", "seat:2"], ttl: .seconds(9))
                #expect(await isRenewed(lease.events))
                #expect(try await locks.status(of: "seat:1").isHeld == true)
                try await lease.release()
                #expect(try await !locks.breakLock("seat:1"))
                let other = try await #require(throws: LockError.self) { _ = try await locks.acquire("other:1") }
                #expect(other.code == .misconfigured)
            }
        }
    }

    @Test("A replica is refused, and so is a master that became one")
    func replica() async throws {
        try await RedisTestServer.with { master in
            var options = RedisTestServer.Options()
            options.replicaOf = master
            try await RedisTestServer.with(options) { replica in
                let refused = try await error(replica.url)
                #expect(refused.code == .misconfigured)
                #expect("\(refused)".contains("master"))
            }
            try await RedisTestServer.with { demoted in
                try await RedisLocks.with(.node(demoted.url)) { locks in
                    try await locks.withLock("x") { _ in }
                    _ = try demoted.command("REPLICAOF", "127.0.0.1", "\(master.port)")
                    let refused = try await #require(throws: LockError.self) {
                        _ = try await locks.acquire("x", wait: .upTo(.seconds(60)))
                    }
                    #expect(refused.code == .misconfigured)
                }
            }
        }
    }

    @Test("A waiter notices that its master became a replica, although a replica goes on saying \"held\"")
    func demotedWhileWaiting() async throws {
        try await RedisTestServer.with { master in
            _ = try master.command("SET", "x", "foreign")
            try await withLocks { demoted, locks in
                _ = try demoted.command("SET", "x", "foreign")
                try await locks.connect()
                async let waiting = locks.acquire("x", wait: .upTo(.seconds(60)))
                _ = try demoted.command("REPLICAOF", "127.0.0.1", "\(master.port)")
                do {
                    _ = try await waiting
                    Issue.record("granted by a replica")
                } catch {
                    #expect((error as? LockError)?.code == .misconfigured, "\(error)")
                }
            }
        }
    }

    @Test(
        "A server that may evict locks is refused, unless that is overridden",
        arguments: ["allkeys-lru", "volatile-ttl"])
    func eviction(policy: String) async throws {
        var options = RedisTestServer.Options()
        options.maxMemory = "100mb"
        options.maxMemoryPolicy = policy
        try await RedisTestServer.with(options) { server in
            let refused = try await error(server.url)
            #expect(refused.code == .misconfigured)
            #expect("\(refused)".contains(policy))
            var unsafe = RedisLocks.Configuration()
            unsafe.unsafeAllowEviction = true
            try await RedisLocks.with(.node(server.url), configuration: unsafe) { locks in
                let token = try await locks.withLock("x") { $0.fencingToken }
                #expect(token > 0)
            }
        }
    }

    @Test("Out of memory: no new locks, while those that are held are renewed and released")
    func outOfMemory() async throws {
        try await withLocks { server, locks in
            let lease = try await locks.acquire("held", ttl: .seconds(9))
            #expect(try server.command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", "1") == "OK")
            let refused = try await #require(throws: LockError.self) {
                _ = try await locks.acquire("new", wait: .upTo(.milliseconds(100)))
            }
            #expect(refused.code == .quorumUnreachable)
            #expect("\(refused)".contains("OOM"))
            #expect(await isRenewed(lease.events))
            #expect(lease.isValid)
            try await lease.release()
            #expect(try server.command("EXISTS", "held") == "0")
            #expect(try server.command("CONFIG", "SET", "maxmemory", "0") == "OK")
            try await locks.withLock("new") { _ in }
        }
    }

    @Test("Keys that are something else are named and left alone")
    func collisions() async throws {
        try await RedisTestServer.with { server in
            _ = try server.command("LPUSH", "list", "1")
            let wrongType = try await error(server.url, name: "list")
            #expect(wrongType.code == .misconfigured)
            #expect("\(wrongType)".contains("WRONGTYPE"))
            _ = try server.command("SET", "{bad}:fence", "abc")
            let corrupt = try await error(server.url, name: "bad")
            #expect(corrupt.code == .misconfigured)
            #expect("\(corrupt)".contains("CORRUPT"))
            #expect(try server.command("GET", "{bad}:fence") == "abc")
            #expect(try server.command("EXISTS", "bad") == "0")
            _ = try server.command("SET", "{full}:fence", "9007199254740990")
            let exhausted = try await error(server.url, name: "full")
            #expect(exhausted.code == .misconfigured)
            #expect("\(exhausted)".contains("EXHAUSTED"))
        }
    }

    @Test("A flushed script cache is refilled without anybody noticing")
    func scriptFlush() async throws {
        try await withLocks { server, locks in
            for _ in 0..<3 {
                let lease = try await locks.acquire("x", ttl: .seconds(9))
                #expect(try server.command("SCRIPT", "FLUSH") == "OK")
                #expect(await isRenewed(lease.events))
                #expect(try server.command("SCRIPT", "FLUSH") == "OK")
                try await lease.release()
                #expect(try server.command("EXISTS", "x") == "0")
            }
        }
    }

    @Test("A server that is not there is unreachable, and the message says where and why")
    func unreachable() async throws {
        let port = try await RedisTestServer.with { $0.port }
        try await RedisLocks.with(.node("redis://127.0.0.1:\(port)")) { locks in
            let error = try await #require(throws: LockError.self) {
                _ = try await locks.acquire("x", wait: .upTo(.milliseconds(200)))
            }
            #expect(error.code == .quorumUnreachable)
            #expect("\(error)".contains("127.0.0.1:\(port)"))
            #expect("\(error)".lowercased().contains("refused"))
        }
    }

    @Test(
        "Bad URLs are refused when the client is made, naming the part",
        arguments: [
            ("http://localhost", "redis://"), ("rediss://localhost", "TLS"), ("redis://localhost:99999", "port"),
            ("redis://localhost/abc", "database"), ("", "redis://"),
        ])
    func badURLs(url: String, part: String) throws {
        let error = #expect(throws: LockError.self) { try RedisLocks(.node(url)) }
        #expect(error?.code == .misconfigured)
        #expect(error?.message.contains(part) == true, "\(error?.message ?? "")")
    }

    @Test("A password for another machine is not sent in the clear unless that is overridden")
    func plaintextPassword() throws {
        let error = #expect(throws: LockError.self) { try RedisLocks(.node("redis://:hush@redis.example:6379")) }
        #expect(error?.code == .misconfigured)
        #expect(error?.message.contains("hush") == false)
        var configuration = RedisLocks.Configuration()
        configuration.unsafeAllowPlaintextPasswords = true
        _ = try RedisLocks(.node("redis://:hush@redis.example:6379"), configuration: configuration)
    }
}

/// The package's folder.
func sourceFolder(above file: String) -> String {
    file.split(separator: "/").dropLast(3).map { "/" + $0 }.joined()
}
