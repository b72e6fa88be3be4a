import Reactor
import TestSupport
import Testing

@testable import Hiredis

@Suite("The handshake", .timeLimit(.minutes(1)))
struct HandshakeTests {
    private func serverWithUsers() throws -> RedisTestServer {
        var options = RedisTestServer.Options()
        options.password = "p@ss:w%rd"
        options.users = ["worker on >secret ~* -@all +get +set +ping +select"]
        return try RedisTestServer(options)
    }

    @Test("the default user's password, a database and a name")
    func defaultUser() async throws {
        let server = try serverWithUsers()
        defer { server.cleanUp() }
        let url = "redis://:p%40ss%3Aw%25rd@127.0.0.1:\(server.port)/5"
        try await withClient(url, testConfiguration { $0.clientName = "a-name" }) { client in
            let info = try await client.command("CLIENT", "INFO").string ?? ""
            #expect(info.contains(" name=a-name "))
            #expect(info.contains(" db=5 "))
            #expect(info.contains(" user=default "))
        }
    }

    @Test("an ACL user who may not set a name connects all the same")
    func aclUser() async throws {
        let server = try serverWithUsers()
        defer { server.cleanUp() }
        let configuration = testConfiguration { $0.clientName = "a-name" }
        try await withClient("redis://worker:secret@127.0.0.1:\(server.port)/1", configuration) { client in
            let reply = try await client.command("SET", "x", "y")
            #expect(reply == .status("OK"))
            let denied = try await client.command("DEL", "x").serverError
            #expect(denied?.code == "NOPERM")
            #expect(denied?.outcome == .misconfigured)
        }
    }

    @Test(
        "wrong or missing credentials fail at once, are not tried again and again, and stay secret",
        arguments: [":geheim@", "worker:geheim@", "nobody:geheim@", ""])
    func wrongCredentials(_ credentials: String) async throws {
        let server = try serverWithUsers()
        defer { server.cleanUp() }
        let configuration = testConfiguration { $0.backOffCeiling = .seconds(3_600) }
        let before = try connectionsReceived(by: server)
        try await withClient("redis://\(credentials)127.0.0.1:\(server.port)", configuration) { client in
            await client.keepConnected()
            for _ in 0..<20 {
                let error = await client.failure(of: "GET", "x")
                #expect(error?.code == .authenticationFailed)
                #expect(error?.outcome == .misconfigured)
                #expect(error?.message.contains("geheim") == false)
            }
            #expect(await client.health.isRefused)
            let after = try connectionsReceived(by: server)
            #expect(after == before + 1)
        }
    }

    private func connectionsReceived(by server: RedisTestServer) throws -> Int {
        let name = "total_connections_received:"
        let line = try server.command("INFO", "stats").split(whereSeparator: \.isNewline).first { $0.hasPrefix(name) }
        return try #require(line.flatMap { Int($0.dropFirst(name.count)) })
    }

    @Test("after the cool-down, and a change of the password, the next command tries once more")
    func coolDown() async throws {
        let server = try serverWithUsers()
        defer { server.cleanUp() }
        let configuration = testConfiguration { $0.backOffCeiling = .milliseconds(1) }
        try await withClient("redis://worker:changed@127.0.0.1:\(server.port)", configuration) { client in
            #expect(await client.failure(of: "GET", "x")?.code == .authenticationFailed)
            try server.command("ACL", "SETUSER", "worker", ">changed")
            try await waitUntil("the refusal is forgotten") { await client.failure(of: "GET", "x") == nil }
        }
    }

    @Test("a password without need is refused with a sentence")
    func unneededPassword() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url(user: "", password: "geheim")) { client in
                let error = await client.failure(of: "GET", "x")
                #expect(error?.code == .authenticationFailed)
                #expect(error?.message.contains("geheim") == false)
            }
        }
    }

    @Test("a database that does not exist is refused")
    func badDatabase() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url(database: 9_999)) { client in
                let error = await client.failure(of: "GET", "x")
                #expect(error?.code == .refused)
                #expect(error?.isPermanent == true)
            }
        }
    }

    @Test("a password for a host beyond this machine is refused at construction")
    func plaintextPassword() throws {
        let error = #expect(throws: RedisError.self) {
            try RedisClient(url: RedisURL("redis://:geheim@redis.example.com"))
        }
        #expect(error?.code == .insecureCredentials)
        #expect(error?.message.contains("unsafeAllowPlaintextPasswords") == true)
        #expect(error?.message.contains("geheim") == false)
    }

    @Test("a Unix socket works like a port")
    func unixSocket() async throws {
        var options = RedisTestServer.Options()
        options.unixSocket = true
        try await RedisTestServer.with(options) { server in
            try await withClient("unix://\(server.unixSocketPath)?db=3") { client in
                let info = try await client.command("CLIENT", "INFO").string ?? ""
                #expect(info.contains(" db=3 "))
                let results = await client.pipeline(
                    (0..<500).map { RedisCommand("ECHO", "\($0)") }, timeout: .seconds(20))
                #expect(results.map { try? $0.get().string } == (0..<500).map { "\($0)" })
            }
            try await withClient("unix://\(server.folder)/nothing.sock") { client in
                let health = await client.recordHealth()
                #expect(await client.failure(of: "GET", "x", timeout: .milliseconds(50))?.code == .timedOut)
                let reason = await health.wait { $0.contains(where: \.isBackingOff) }.compactMap(\.reason).first
                #expect(reason?.code == .connectFailed)
            }
        }
    }

    @Test("a server that is full is tried again until it has room")
    func maxClients() async throws {
        var options = RedisTestServer.Options()
        options.configuration = ["maxclients 2"]
        try await RedisTestServer.with(options) { server in
            // The fixture's own connection takes one place.
            try server.command("PING")
            let first = try RedisClient(url: RedisURL(server.url), configuration: testConfiguration())
            #expect(try await first.command("PING") == .status("PONG"))
            try await withClient(server.url) { second in
                let health = await second.recordHealth()
                async let reply = second.command("PING")
                let reason = await health.wait { $0.contains(where: \.isBackingOff) }.compactMap(\.reason).first
                #expect(reason?.serverError?.message.hasPrefix("ERR max number of clients") == true)
                #expect(reason?.isPermanent == false)
                await first.close(timeout: .zero)
                let outcome = try await reply
                #expect(outcome == .status("PONG"))
            }
        }
    }

    @Test("a server in protected mode refuses for good")
    func denied() async throws {
        try await FakePeer.with { peer in
            try peer.send("-DENIED Redis is running in protected mode\r\n")
            try peer.hang()
        } _: { peer in
            try await withClient(peer.url) { client in
                let error = await client.failure(of: "GET", "x")
                #expect(error?.code == .refused)
                #expect(error?.serverError?.code == "DENIED")
            }
        }
    }

    @Test("the preamble comes before every command, on each connection, and its verdict counts")
    func preamble() async throws {
        let preamble = RedisPreamble(commands: [RedisCommand("ROLE"), RedisCommand("INFO", "server")]) { replies in
            guard replies.count == 2, replies[0].array?.first?.string == "master" else {
                return RedisError(.refused, "That is no master.")
            }
            return replies[1].string?.contains("redis_version:") == true ? nil : RedisError(.refused, "No version.")
        }
        let configuration = testConfiguration { $0.backOffCeiling = .seconds(3_600) }
        try await RedisTestServer.with { server in
            try await withClient(server.url, configuration, preamble: preamble) { client in
                let reply = try await client.command("PING")
                #expect(reply == .status("PONG"))
            }
            var options = RedisTestServer.Options()
            options.replicaOf = server
            try await RedisTestServer.with(options) { replica in
                try await withClient(replica.url, configuration, preamble: preamble) { client in
                    for _ in 0..<3 {
                        let error = await client.failure(of: "GET", "x")
                        #expect(error?.code == .refused)
                        #expect(error?.message == "That is no master.")
                    }
                    #expect(await client.generation == 0)
                }
            }
        }
    }

    @Test("a preamble's verdict that is not for good is tried again")
    func transientPreamble() async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            try peer.send(peer.index < 3 ? "-LOADING Redis is loading\r\n" : "+ready\r\n")
            _ = try peer.readCommand()
            try peer.send("+fine\r\n")
            try peer.hang()
        } _: { peer in
            let preamble = RedisPreamble(commands: [RedisCommand("GET", "x")]) {
                $0.first?.serverError.map { .refusal(of: "the preamble", by: "the peer", $0) }
            }
            try await withClient(peer.url, preamble: preamble) { client in
                let reply = try await client.command("GET", "x")
                #expect(reply == .status("fine"))
                #expect(peer.acceptedCount == 3)
            }
        }
    }
}
