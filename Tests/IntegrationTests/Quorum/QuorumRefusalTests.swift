import Hiredis
import RedisLocks
import TestSupport
import Testing

/// Rows 31 to 36 and 44 of the fault matrix: nodes that answer with an error.
@Suite("A quorum under attack: nodes that refuse", .timeLimit(.minutes(2)))
struct QuorumRefusalTests {
    @Test(
        "Row 31: nodes that may evict keys are refused when they are connected to; a minority is tolerated",
        arguments: [1, 2])
    func eviction(count: Int) async throws {
        try await RedisTestQuorum.with { quorum in
            for server in quorum.servers.prefix(count) {
                try server.command("CONFIG", "SET", "maxmemory", "100mb")
                try server.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            }
            let configuration = RedisLocks.Configuration.patient.with { $0.restartGuard = .unsafeOff }
            try await quorum.withClient(configuration) { locks in
                if count == 1 {
                    try await locks.acquire("x", wait: .once).release()
                } else {
                    let error = try await refusal(locks, wait: .patient)
                    #expect(error.code == .misconfigured)
                    #expect(error.description.contains("allkeys-lru"))
                }
                #expect(try quorum.holders(of: "x") == [])
            }
        }
    }

    @Test("Row 31: with that check switched off, memory pressure evicts lock and counter, and two hold the lock")
    func evicted() async throws {
        var server = RedisTestServer.Options()
        server.maxMemory = "3mb"
        server.maxMemoryPolicy = "allkeys-lru"
        let configuration = RedisLocks.Configuration.patient.with { $0.unsafeAllowEviction = true }
        try await withNodes(.init(count: 1, server: server), configuration: configuration) { quorum, locks in
            let lease = try await locks.acquire("x")
            let filler = String(repeating: "f", count: 10_000)
            var keys = 0
            while try quorum.servers[0].command("EXISTS", "x", "{x}:fence") != "0" {
                try #require(keys < 100_000)
                keys += 1
                try quorum.servers[0].command("SET", "filler-\(keys)", filler)
            }
            try await RedisLocks.with(.node(quorum.urls[0]), configuration: configuration) { others in
                let second = try await others.acquire("x", wait: .once)
                #expect(lease.isValid && second.isValid)
                #expect(second.fencingToken > lease.fencingToken, "by the time anchor alone")
            }
        }
    }

    @Test("Row 32: nodes out of memory grant nothing new; what is held is renewed and released")
    func outOfMemory() async throws {
        let configuration = RedisLocks.Configuration.short(.seconds(6), maximumTTL: .seconds(60))
        try await withNodes(configuration: configuration) { quorum, locks in
            let lease = try await locks.acquire("x")
            for server in quorum.servers.prefix(2) { try server.command("CONFIG", "SET", "maxmemory", "100kb") }
            let error = try await refusal(locks, "y")
            #expect(error.code == .quorumUnreachable)
            #expect(error.refusals.count == 2 && error.refusals.allSatisfy { $0.contains("OOM") })
            #expect(await isRenewed(lease.events))
            try await lease.release()
            try await quorum.waitUntilFree("x")
            try await quorum.waitUntilFree("y")
        }
    }

    @Test("Row 33: nodes that cannot write their snapshot (MISCONF) do not vote, and do when they can again")
    func diskTrouble() async throws {
        try await withTemporaryDirectory { folder in
            var server = RedisTestServer.Options()
            let place = "\(folder)/place"
            server.configuration = ["save 86400 1", "dir \(place)"]
            mkdir(place, 0o700)
            try await withNodes(.init(server: server)) { quorum, locks in
                rmdir(place)
                for server in quorum.servers.prefix(2) {
                    #expect(throws: TestSupportError.self) { try server.command("SAVE") }
                    try server.command("BGSAVE")
                    try await waitUntil("the snapshot has failed") {
                        try server.command("INFO", "persistence").contains("rdb_last_bgsave_status:err")
                    }
                }
                let error = try await refusal(locks)
                #expect(error.code == .quorumUnreachable)
                #expect(error.refusals.count == 2 && error.refusals.allSatisfy { $0.contains("MISCONF") })
                for server in quorum.servers {
                    try server.command("CONFIG", "SET", "stop-writes-on-bgsave-error", "no")
                }
                try await locks.acquire("x", wait: .patient).release()
            }
        }
    }

    @Test("Row 34: nodes busy with an endless script do not vote, and do once an operator has killed it")
    func busy() async throws {
        var server = RedisTestServer.Options()
        server.configuration = ["busy-reply-threshold 1"]
        try await withNodes(.init(server: server)) { quorum, locks in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for url in quorum.urls.prefix(2) {
                    group.addTask {
                        let client = try RedisClient(url: RedisURL(url))
                        let ended = try await client.command(
                            RedisCommand("EVAL", "while true do end", "0"), timeout: .seconds(60))
                        #expect(ended.serverError != nil)
                        await client.close(timeout: .seconds(1))
                    }
                }
                for server in quorum.servers.prefix(2) {
                    try await waitUntil("the script runs") {
                        try server.send(["GET", "x"]).description.hasPrefix("BUSY")
                    }
                }
                let error = try await refusal(locks)
                #expect(error.code == .quorumUnreachable)
                #expect(error.refusals.count == 2 && error.refusals.allSatisfy { $0.contains("BUSY") })
                for server in quorum.servers.prefix(2) { try server.command("SCRIPT", "KILL") }
                try await group.waitForAll()
                try await locks.acquire("x", wait: .patient).release()
            }
        }
    }

    @Test("Row 35: nodes that load their data do not vote, and do when they have")
    func loading() async throws {
        var server = RedisTestServer.Options()
        server.configuration = ["key-load-delay 0", "loading-process-events-interval-bytes 1024"]
        try await withNodes(.init(server: server), configuration: .brisk.with { $0.restartGuard = .unsafeOff }) {
            quorum, locks in
            for server in quorum.servers.prefix(2) {
                for key in 0..<300 { try server.command("SETRANGE", "filler-\(key)", "2000", "x") }
                try server.command("CONFIG", "SET", "rdbcompression", "no")
                try server.command("SAVE")
                let conf = try readText("\(server.folder)/redis.conf")
                // 300 keys of 10 ms each.
                try writeText(
                    conf.replacing("key-load-delay 0", with: "key-load-delay 10000"), to: "\(server.folder)/redis.conf")
                try server.restartWithoutWaiting()
                try await waitUntil("the server loads") {
                    (try? server.send(["GET", "x"]).description.hasPrefix("LOADING")) ?? false
                }
            }
            let error = try await refusal(locks)
            #expect(error.code == .quorumUnreachable)
            #expect([.won, .notNeeded].contains(error.outcomes[2]))
            #expect(error.description.contains("LOADING"), "\(error)")
            try await locks.acquire("x", wait: .patient).release()
        }
    }

    @Test("Row 36: a wrong password at a majority is misconfigured at once, and the text has no secret in it")
    func wrongPassword() async throws {
        var server = RedisTestServer.Options()
        server.password = "the-right-one"
        try await RedisTestQuorum.with(.init(server: server)) { quorum in
            let urls = quorum.servers.enumerated().map { $1.url(password: $0 == 0 ? "the-right-one" : "hush-hush") }
            try await RedisLocks.with(.redlock(urls), configuration: .patient.with { $0.restartGuard = .unsafeOff }) {
                locks in
                let error = try await refusal(locks, wait: .patient)
                #expect(error.code == .misconfigured)
                #expect(!"\(error) \(error.nodes)".contains("hush-hush") && !"\(error)".contains("the-right-one"))
                #expect(try quorum.holders(of: "x") == [])
            }
        }
    }

    @Test("Row 36: a missing permission at a majority is misconfigured at once and named")
    func missingPermission() async throws {
        var server = RedisTestServer.Options()
        server.users = ["worker on >hush-hush ~* &* +@all -evalsha -eval"]
        try await RedisTestQuorum.with(.init(server: server)) { quorum in
            let urls = quorum.servers.enumerated().map {
                $0 == 0 ? $1.url : $1.url(user: "worker", password: "hush-hush")
            }
            try await RedisLocks.with(.redlock(urls), configuration: .patient.with { $0.restartGuard = .unsafeOff }) {
                locks in
                let error = try await refusal(locks, wait: .patient)
                #expect(error.code == .misconfigured)
                #expect(error.description.contains("evalsha") && !error.description.contains("hush-hush"))
            }
        }
    }

    enum Corruption: String, CaseIterable {
        case word, list, exhausted

        func put(_ server: RedisTestServer) throws {
            switch self {
            case .word: try server.command("SET", "{x}:fence", "abc")
            case .list: try server.command("RPUSH", "{x}:fence", "1")
            case .exhausted: try server.command("SET", "{x}:fence", "9007199254740992")
            }
        }

        var words: String {
            switch self {
            case .word: "CORRUPT"
            case .list: "WRONGTYPE"
            case .exhausted: "EXHAUSTED"
            }
        }
    }

    @Test(
        "Row 44: a counter that is none: an error before any write, no vote; a majority of them is misconfigured",
        arguments: Corruption.allCases, [1, 2])
    func corruptCounter(_ corruption: Corruption, count: Int) async throws {
        try await withNodes { quorum, locks in
            for server in quorum.servers.prefix(count) { try corruption.put(server) }
            if count == 1 {
                let lease = try await locks.acquire("x", wait: .patient)
                #expect(try quorum.holders(of: "x") == [1, 2])
                try await lease.release()
            } else {
                let error = try await refusal(locks, wait: .patient)
                #expect(error.code == .misconfigured)
                #expect(error.description.contains(corruption.words))
                for server in quorum.servers.prefix(count) { #expect(try server.command("EXISTS", "x") == "0") }
            }
            try await quorum.waitUntilFree("x")
        }
    }
}
