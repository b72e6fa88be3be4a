import Subprocess
import TestSupport
import Testing

@Suite("A lost lease", .timeLimit(.minutes(1)))
struct LeaseLossTests {
    @Test("ends the command with SIGTERM, and redislock with 74")
    func terminates() async throws {
        try await RedisTestServer.with { server in
            let script = "trap 'echo told; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--ttl", "3s", "--grace", "1m", "--", "sh", "-c", script
            ) { _, lines in
                #expect(try await lines.next() == "ready")
                let broken = try await Tool.run("break", "--node", server.url, "--key", "job", "--yes")
                #expect(broken.status == 0)
            }
            #expect(result.output == "told")
            #expect(result.status == 74)
            #expect(result.errorLines.count == 1)
            #expect(result.errors.contains("not ours any more"))
        }
    }

    @Test("ends a command that ignores SIGTERM with SIGKILL after the grace")
    func kills() async throws {
        try await RedisTestServer.with { server in
            let script = "trap '' TERM; echo ready; exec sleep 600"
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--ttl", "3s", "--grace", "200ms", "--", "sh", "-c",
                script
            ) { _, lines in
                #expect(try await lines.next() == "ready")
                try server.command("DEL", "job")
            }
            #expect(result.status == 74)
            #expect(result.errors.contains("signal 9"))
        }
    }

    @Test("wakes a stopped command to end it")
    func stopped() async throws {
        try await RedisTestServer.with { server in
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--ttl", "3s", "--grace", "1m", "--",
                "sh", "-c", "echo ready; kill -STOP $$"
            ) { _, lines in
                #expect(try await lines.next() == "ready")
                try server.command("DEL", "job")
            }
            #expect(result.status == 74)
        }
    }

    @Test("is noticed without the server: by the deadline when Redis hangs")
    func serverHangs() async throws {
        try await RedisTestServer.with { server in
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--ttl", "3s", "--", "sh", "-c",
                "echo ready; exec sleep 600"
            ) { _, lines in
                #expect(try await lines.next() == "ready")
                try server.pause()
            }
            #expect(result.status == 74)
            #expect(result.errors.contains("could not be renewed"))
        }
    }

    @Test("is what --maximum-hold ends in")
    func maximumHold() async throws {
        try await RedisTestServer.with { server in
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--ttl", "3s", "--maximum-hold", "4s", "--", "sleep",
                "600")
            #expect(result.status == 74)
            #expect(result.errors.contains("maximum hold"))
        }
    }

    @Test("does not count when the command has ended well before, but does when its end finds the lock taken")
    func atTheEnd() async throws {
        try await RedisTestServer.with { server in
            // The ttl is so long that no renewal notices it first.
            let script = "redis-cli -p \(server.port) set job thief > /dev/null; exit 3"
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--ttl", "60s", "--", "sh", "-c", script)
            #expect(result.status == 74)
            #expect(result.errors.contains("exited with status 3"))
            #expect(try server.command("GET", "job") == "thief")
        }
    }
}
