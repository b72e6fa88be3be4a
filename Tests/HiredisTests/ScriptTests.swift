import Reactor
import TestSupport
import Testing

@testable import Hiredis

@Suite("Scripts", .timeLimit(.minutes(1)))
struct ScriptTests {
    static let increment = RedisScript(source: "return redis.call('INCRBY', KEYS[1], ARGV[1])")

    @Test("a script is sent by its source once, and by its digest from then on")
    func loadedOnce() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                for round in 1...5 {
                    let reply = try await client.evaluate(
                        Self.increment, keys: ["n"], arguments: ["2"], timeout: .seconds(20))
                    #expect(reply == .integer(Int64(2 * round)))
                }
                let counts = try server.commandCounts()
                #expect(counts["eval"] == 1)
                #expect(counts["evalsha"] == 5)
            }
        }
    }

    @Test("a script loaded by the preamble costs one command a call, also on the next connection")
    func preamble() async throws {
        try await RedisTestServer.with { server in
            let preamble = RedisPreamble(commands: [Self.increment.loadCommand]) { replies in
                replies.first?.string == Self.increment.sha1 ? nil : RedisError(.refused, "Another digest.")
            }
            try await withClient(server.url, preamble: preamble) { client in
                for round in 1...3 {
                    try server.command("SCRIPT", "FLUSH")
                    await client.withConnection {
                        $0.replaceConnection(because: RedisError(.connectionLost, "A test."))
                    }
                    let reply = try await client.evaluate(
                        Self.increment, keys: ["n"], arguments: ["1"], timeout: .seconds(20))
                    #expect(reply == .integer(Int64(round)))
                }
                #expect(try server.commandCounts()["eval"] == nil)
            }
        }
    }

    @Test("arguments are those of the connection by which the script goes, not of the one before")
    func argumentsOfTheConnection() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                let script = RedisScript(source: "return ARGV[1]")
                let replies = Record<String?>()
                _ = await client.withConnection { connection in
                    // There is no connection yet: it waits for the first one, whose number is 1.
                    connection.evaluate(
                        script, keys: [], arguments: ["\(connection.generation)"], deadline: .now + .seconds(20)
                    ) { replies.append((try? $0.get())?.string) }
                }
                #expect(await replies.wait { $0.count == 1 } == ["1"])
            }
        }
    }

    @Test("scripts flushed under a running pipeline are sent again, each exactly once")
    func flush() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for _ in 0..<8 {
                        group.addTask {
                            for _ in 0..<50 {
                                _ = try await client.evaluate(
                                    Self.increment, keys: ["n"], arguments: ["1"], timeout: .seconds(20))
                            }
                        }
                    }
                    group.addTask { for _ in 0..<20 { try server.command("SCRIPT", "FLUSH") } }
                    try await group.waitForAll()
                }
                #expect(try await client.command("GET", "n").string == "400")
                #expect(await client.withConnection { $0.pendingCount } == 0)
            }
        }
    }

    @Test("a script's own error is a reply, with its code word")
    func scriptError() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                let script = RedisScript(source: "return redis.error_reply('EXHAUSTED fencing counter')")
                let reply = try await client.evaluate(script, keys: [], arguments: [], timeout: .seconds(20))
                #expect(reply.serverError?.code == "EXHAUSTED")
                #expect(reply.serverError?.outcome == .misconfigured)
            }
        }
    }

    @Test("a server that has no script even by its source is believed the second time")
    func noScriptForEver() async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            while true {
                _ = try peer.readCommand()
                try peer.send("-NOSCRIPT No matching script.\r\n")
            }
        } _: { peer in
            try await withClient(peer.url) { client in
                let reply = try await client.evaluate(Self.increment, keys: [], arguments: [], timeout: .seconds(20))
                #expect(reply.serverError?.code == "NOSCRIPT")
            }
        }
    }

    @Test("an ACL user without EVALSHA is told so")
    func withoutPermission() async throws {
        var options = RedisTestServer.Options()
        options.users = ["worker on >secret ~* -@all +get"]
        try await RedisTestServer.with(options) { server in
            try await withClient(server.url(user: "worker", password: "secret")) { client in
                let reply = try await client.evaluate(Self.increment, keys: [], arguments: [], timeout: .seconds(20))
                #expect(reply.serverError?.code == "NOPERM")
                #expect(reply.serverError?.outcome == .misconfigured)
            }
        }
    }

    @Test("errors of a real server have their class: out of memory, read-only, wrong type, unknown command")
    func realErrors() async throws {
        var options = RedisTestServer.Options()
        options.maxMemory = "100kb"
        options.maxMemoryPolicy = "noeviction"
        try await RedisTestServer.with(options) { server in
            try await withClient(server.url) { client in
                let full = try await client.command("SET", "x", "y").serverError
                #expect(full?.code == "OOM" && full?.outcome == .notApplied)
                let unknown = try await client.command("WAITAOF", "0", "0", "0").serverError
                #expect(unknown?.outcome == .misconfigured)
            }
            var replicaOptions = RedisTestServer.Options()
            replicaOptions.replicaOf = server
            try await RedisTestServer.with(replicaOptions) { replica in
                try await withClient(replica.url) { client in
                    let readOnly = try await client.command("SET", "x", "y").serverError
                    #expect(readOnly?.code == "READONLY" && readOnly?.outcome == .notApplied)
                }
            }
        }
    }

    @Test("error words keep their class on their way through a connection, which survives them all")
    func errorTable() async throws {
        let table = ValueTests.errorTable.filter { !$0.0.isEmpty }
        try await FakePeer.with { peer in
            try peer.shakeHands()
            for (line, _) in table {
                _ = try peer.readCommand()
                try peer.send("-\(line)\r\n")
            }
            try peer.hang()
        } _: { peer in
            try await withClient(peer.url) { client in
                for (line, outcome) in table {
                    let error = try await client.command("EVALSHA", "x").serverError
                    #expect(error?.message == line)
                    #expect(error?.outcome == outcome, "\(line)")
                }
            }
            #expect(peer.acceptedCount == 1)
        }
    }

    @Test("a server busy with a script, short of replicas, or refusing a script's command says so")
    func moreRealErrors() async throws {
        var options = RedisTestServer.Options()
        options.configuration = ["min-replicas-to-write 1", "busy-reply-threshold 1"]
        options.users = ["worker on >secret ~* -@all +eval +evalsha +ping"]
        try await RedisTestServer.with(options) { server in
            try await withClient(server.url) { client in
                let lonely = try await client.command("SET", "x", "y").serverError
                #expect(lonely?.code == "NOREPLICAS" && lonely?.outcome == .notApplied)
            }
            try await withClient(server.url(user: "worker", password: "secret")) { client in
                let script = RedisScript(source: "return redis.call('GET', KEYS[1])")
                let denied = try await client.evaluate(script, keys: ["x"], arguments: [], timeout: .seconds(20))
                #expect(denied.serverError?.outcome == .misconfigured, "\(denied)")
            }
            try await withClient(server.url) { looping in
                async let endless = looping.command("EVAL", "while true do end", "0")
                try await withClient(server.url) { client in
                    var busy: RedisServerError?
                    while busy == nil {
                        try Task.checkCancellation()
                        busy = try await client.command("GET", "x").serverError
                    }
                    #expect(busy?.code == "BUSY" && busy?.outcome == .notApplied)
                    let killed = try await client.command("SCRIPT", "KILL")
                    #expect(killed == .status("OK"))
                }
                let ended = try await endless
                #expect(ended.serverError != nil)
            }
        }
    }
}
