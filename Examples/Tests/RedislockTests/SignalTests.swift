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

    @Test("find default dispositions and an empty mask in the command, whatever redislock has blocked")
    func defaults() async throws {
        try await RedisTestServer.with { server in
            let result = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--", "cat", "/proc/self/status")
            for mask in ["SigBlk", "SigIgn", "SigCgt"] {
                let line = try #require(result.output.split(separator: "\n").first { $0.hasPrefix(mask) })
                let bits = try #require(line.split(separator: "\t").last.flatMap { UInt64($0, radix: 16) })
                // Signals 32 and 33 are the C library's own.
                #expect(bits & 0x7FFF_FFFF == 0, "\(line)")
            }
            // SIGPIPE ends a writer whose reader has gone.
            let script = #""$0" run --node "$1" --key job -- sh -c 'yes; echo "$?" >&2' | head -n 1"#
            let piped = try await Tool.run(.name("sh"), ["-c", script, "\(Tool.path)", server.url])
            #expect(piped.output == "y\n")
            #expect(piped.errors == "141\n")
        }
    }

    @Test("stay ignored in the command where redislock was started with them ignored, as nohup does")
    func ignored() async throws {
        try await RedisTestServer.with { server in
            let script = """
                trap '' HUP; exec "$0" run --node "$1" --key job -- grep SigIgn: /proc/self/status
                """
            let result = try await Tool.run(.name("sh"), ["-c", script, "\(Tool.path)", server.url])
            let bits = try #require(
                result.output.split(whereSeparator: \.isWhitespace).last.flatMap { UInt64($0, radix: 16) })
            #expect(bits & 0x7FFF_FFFF == 1)
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

    @Test("of a terminal reach the command once: Ctrl-C is not forwarded")
    func terminal() async throws {
        try await RedisTestServer.with { server in
            try await withTemporaryDirectory { folder in
                let inner = """
                    trap 'echo got; exit 5' INT; echo ready > '\(folder)/ready'; while :; do sleep 0.05; done
                    """
                try writeText(inner, to: "\(folder)/inner")
                let line = "\(Tool.path) run -v --node \(server.url) --key job -- sh \(folder)/inner"
                // script(1) gives it a terminal of its own. It must not run in the background: shells start such
                // processes with SIGINT ignored.
                let outer = """
                    cd '\(folder)' || exit 1
                    { while [ ! -e ready ]; do sleep 0.02; done; printf '\\003'; } | script -qec '\(line)' /dev/null
                    echo "status ${PIPESTATUS[1]}"
                    """
                let result = try await Tool.run(.name("bash"), ["-c", outer])
                #expect(result.output.contains("status 5"), "\(result)")
                #expect(result.output.contains("got"))
                #expect(!result.output.contains("Sending a signal"))
            }
        }
    }

    @Test("A command under a terminal can read from it")
    func readsTerminal() async throws {
        try await RedisTestServer.with { server in
            let line = "\(Tool.path) run --node \(server.url) --key job -- sh -c \"read x; echo read=\\$x\""
            let outer = "echo typed | script -qec '\(line)' /dev/null"
            let result = try await Tool.run(.name("bash"), ["-c", outer])
            #expect(result.output.contains("read=typed"), "\(result)")
        }
    }
}
