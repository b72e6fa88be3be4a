import Subprocess
import TestSupport
import Testing

@Suite("Signals", .timeLimit(.minutes(1)))
struct SignalTests {
    @Test(
        "are passed on to the command, and redislock waits for it",
        arguments: [
            (Signal.interrupt, "INT"), (.terminate, "TERM"), (.terminalClosed, "HUP"), (.quit, "QUIT"),
            (.userDefinedOne, "USR1"), (.userDefinedTwo, "USR2"),
        ])
    func forwarded(signal: Signal, name: String) async throws {
        try await RedisTestServer.with { server in
            let script = "trap 'echo got \(name); exit 5' \(name); echo ready; while :; do sleep 0.05; done"
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--", "sh", "-c", script
            ) { running, lines in
                #expect(try await lines.next() == "ready")
                try running.send(signal)
            }
            #expect(result.output == "got \(name)")
            #expect(result.status == 5)
            #expect(try server.command("EXISTS", "job") == "0")
        }
    }

    @Test("end a command that does not expect them, which redislock reports as a shell would")
    func defaultAction() async throws {
        try await RedisTestServer.with { server in
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--", "sh", "-c", "echo ready; exec sleep 600"
            ) { running, lines in
                #expect(try await lines.next() == "ready")
                try running.send(.terminate)
            }
            #expect(result.status == 143)
            #expect(!result.wasSignalled)
        }
    }

    @Test("end a redislock that still waits, which leaves no key behind", arguments: [Signal.terminate, .interrupt])
    func whileWaiting(signal: Signal) async throws {
        try await RedisTestServer.with { server in
            try server.command("SET", "job", "somebody")
            let result = try await Tool.run(
                "run", "-v", "--node", server.url, "--key", "job", "--wait", "1h", "--", "echo", "never"
            ) { running, lines in
                try await waitUntil("it has asked for the lock") {
                    try (server.commandCounts()["get"] ?? 0) > 0
                }
                try running.send(signal)
            }
            #expect(result.status == 128 + signal.rawValue)
            #expect(!result.wasSignalled)
            #expect(result.output == "")
            #expect(result.errors.contains("before the command was started"))
            #expect(try server.command("GET", "job") == "somebody")
            #expect(try server.command("DBSIZE") == "1")
        }
    }

    @Test("do not come from a log that nobody reads any more")
    func brokenLog() async throws {
        try await RedisTestServer.with { server in
            let script = #""$0" run -v --node "$1" --key job -- sh -c 'sleep 0.3; exit 3' 2> >(:); echo "$?""#
            let result = try await Tool.run(.name("bash"), ["-c", script, "\(Tool.path)", server.url])
            #expect(result.output == "3\n")
            #expect(try server.command("EXISTS", "job") == "0")
        }
    }
}
