import Subprocess
import TestSupport
import Testing

@Suite("redislock run", .timeLimit(.minutes(1)))
struct RunTests {
    /// Words that every run of these tests begins with.
    private func run(
        _ server: RedisTestServer, _ options: [String] = [], command: [String],
        environment: [String: String] = [:], input: String = ""
    ) async throws -> Tool.Finished {
        try await Tool.run(
            .path(Tool.path), ["run", "--node", server.url, "--key", "job"] + options + ["--"] + command,
            environment: environment, input: input)
    }

    @Test(
        "answers with the command's own status, and 128 + n for a signal",
        arguments: [("exit 0", 0), ("exit 7", 7), ("exit 74", 74), ("kill -TERM $$", 143), ("kill -KILL $$", 137)])
    func status(script: String, status: Int32) async throws {
        try await RedisTestServer.with { server in
            let result = try await run(server, command: ["sh", "-c", script])
            #expect(result.status == status)
            #expect(!result.wasSignalled)
            #expect(result.errors == "")
            #expect(try server.command("EXISTS", "job") == "0")
            #expect(try server.command("EXISTS", "{job}:fence") == "1")
        }
    }

    @Test("passes stdin, stdout and stderr through")
    func streams() async throws {
        try await RedisTestServer.with { server in
            let result = try await run(server, command: ["sh", "-c", "cat; echo oops >&2"], input: "line 1\nline 2\n")
            #expect(result.status == 0)
            #expect(result.output == "line 1\nline 2\n")
            #expect(result.errors == "oops\n")
        }
    }

    @Test("tells the command its key, its fencing token and its deadline, and leaves the rest of the environment alone")
    func environment() async throws {
        try await RedisTestServer.with { server in
            let script = """
                echo "$REDISLOCK_KEY|$REDISLOCK_FENCING_TOKEN|$((REDISLOCK_DEADLINE - $(date +%s) * 1000))|$OTHER"
                """
            let result = try await run(
                server, ["--ttl", "60s"], command: ["sh", "-c", script],
                environment: ["OTHER": "kept", "REDISLOCK_KEY": "of an outer redislock"])
            let parts = result.output.split(whereSeparator: { "|\n".contains($0) })
            try #require(parts.count == 4)
            #expect(parts[0] == "job")
            #expect(String(parts[1]) == (try server.command("GET", "{job}:fence")))
            let left = try #require(Int(parts[2]))
            #expect((1000...60_999).contains(left), "a little less than the ttl: \(left) ms")
            #expect(parts[3] == "kept")
        }
    }

    @Test("runs the command while the lock is held, with tokens that rise from run to run")
    func holds() async throws {
        try await RedisTestServer.with { server in
            var tokens: [Int64] = []
            for _ in 0..<3 {
                try await Tool.run(
                    "run", "--node", server.url, "--key", "job", "--", "sh", "-c",
                    "echo $REDISLOCK_FENCING_TOKEN; exec sleep 600"
                ) { running, lines in
                    tokens.append(try #require(Int64(try await lines.next() ?? "")))
                    #expect(try server.command("EXISTS", "job") == "1")
                    try running.send(.terminate)
                }
            }
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy { $0 < $1 })
        }
    }

    @Test("keeps the lock for longer than its ttl")
    func renews() async throws {
        try await RedisTestServer.with { server in
            let script = "sleep 5; exec redis-cli -p \(server.port) get job"
            let result = try await run(server, ["--ttl", "3s"], command: ["sh", "-c", script])
            #expect(result.status == 0)
            #expect(result.output.count > 10, "the owner value: \(result.output)")
        }
    }

    @Test("gives the command's arguments as they were typed, bytes that are no UTF-8 included")
    func arguments() async throws {
        try await RedisTestServer.with { server in
            let result = try await run(server, command: ["printf", "%s|", "a b", "", "--", "-x", "é"])
            #expect(result.output == "a b||--|-x|é|")
            let script = """
                exec "$0" run --node "$1" --key bytes -- printf %s "$(printf '\\377\\001')" | od -An -tx1
                """
            let raw = try await Tool.run(.name("sh"), ["-c", script, "\(Tool.path)", server.url])
            #expect(raw.output.split(separator: " ").map { $0.filter { !$0.isNewline } } == ["ff", "01"])
        }
    }

    @Test("says 127 for a command that is not there and 126 for one that cannot be run")
    func notRunnable() async throws {
        try await RedisTestServer.with { server in
            let missing = try await run(server, command: ["no-such-command-anywhere"])
            #expect(missing.status == 127)
            #expect(missing.errorLines.count == 1)
            #expect(missing.errors.contains("no-such-command-anywhere"))
            try await withTemporaryDirectory { folder in
                try writeText("echo never\n", to: "\(folder)/plain")
                let plain = try await run(server, command: ["\(folder)/plain"])
                #expect(plain.status == 126)
                let directory = try await run(server, command: [folder])
                #expect(directory.status == 126)
            }
            #expect(try server.command("EXISTS", "job") == "0")
        }
    }

    @Test("gives up with 75 when somebody else holds the lock for the whole wait", arguments: ["0s", "300ms"])
    func timesOut(wait: String) async throws {
        try await RedisTestServer.with { server in
            try server.command("SET", "job", "somebody", "PX", "60000")
            let result = try await run(server, ["--wait", wait], command: ["echo", "never"])
            #expect(result.status == 75)
            #expect(result.errorLines.count == 1)
            #expect(result.errors.hasPrefix("redislock: "))
            #expect(result.output == "")
            #expect(try server.command("GET", "job") == "somebody")
        }
    }

    @Test("waits for the lock and then gets it")
    func waits() async throws {
        try await RedisTestServer.with { server in
            try server.command("SET", "job", "somebody", "PX", "300")
            let result = try await run(server, ["--wait", "20s"], command: ["echo", "mine"])
            #expect(result.status == 0)
            #expect(result.output == "mine\n")
        }
    }

    @Test("says 69 when Redis cannot be reached")
    func unreachable() async throws {
        // Not a port: a killed server's may be another test's by now.
        try await withTemporaryDirectory { folder in
            let result = try await Tool.run(
                "run", "--node", "unix://\(folder)/none", "--key", "job", "--wait", "500ms", "--", "echo", "never")
            #expect(result.status == 69)
            #expect(result.errorLines.count == 1)
            #expect(result.output == "")
        }
    }

    @Test("says 78 when Redis refuses the password, and does not repeat it")
    func wrongPassword() async throws {
        var options = RedisTestServer.Options()
        options.password = "right"
        try await RedisTestServer.with(options) { server in
            let result = try await Tool.run(
                "run", "--node", server.url(password: "wr0ng"), "--key", "job", "--", "echo", "never")
            #expect(result.status == 78)
            #expect(result.errorLines.count == 1)
            #expect(!result.errors.contains("wr0ng"))
            #expect(result.output == "")
            let right = try await run(server, command: ["echo", "now"])
            #expect(right.output == "now\n")
        }
    }

    @Test("says 78 when Redis may evict locks")
    func evicting() async throws {
        var options = RedisTestServer.Options()
        options.maxMemory = "50mb"
        options.maxMemoryPolicy = "allkeys-lru"
        try await RedisTestServer.with(options) { server in
            let result = try await run(server, command: ["echo", "never"])
            #expect(result.status == 78)
            #expect(result.errors.contains("maxmemory-policy"))
        }
    }

    @Test("takes the node from the environment")
    func nodeFromEnvironment() async throws {
        try await RedisTestServer.with { server in
            let result = try await Tool.run(
                "run", "--key", "job", "--", "echo", "yes", environment: ["REDISLOCK_NODES": server.url])
            #expect(result.output == "yes\n")
        }
    }

    @Test("logs with -v what happened, to stderr")
    func verbose() async throws {
        try await RedisTestServer.with { server in
            let result = try await run(server, ["-v", "--ttl", "3s"], command: ["sh", "-c", "sleep 2; echo out"])
            #expect(result.status == 0)
            #expect(result.output == "out\n")
            let token = try server.command("GET", "{job}:fence")
            for word in [
                "Acquired the lock.", "token=\(token)", "waited=", "Renewed", "has ended", "Released the lock.",
            ] {
                #expect(result.errors.contains(word), "\(word) in \(result.errors)")
            }
        }
    }
}
