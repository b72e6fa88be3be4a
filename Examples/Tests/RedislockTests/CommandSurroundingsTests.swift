#if os(Linux)
    import Subprocess
    import TestSupport
    import Testing

    /// What the command finds around it. On Linux, whose /proc and script(1) these tests use.
    @Suite("The command", .timeLimit(.minutes(1)))
    struct CommandSurroundingsTests {
        @Test("finds default signal dispositions and an empty mask")
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

        @Test("keeps a signal ignored that redislock was started with, as nohup does")
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

        @Test("has every descriptor that redislock was given, and none of its own")
        func descriptors() async throws {
            try await RedisTestServer.with { server in
                let script = """
                    exec 7</dev/null; exec "$0" run --node "$1" --key job -- sh -c 'ls /proc/$$/fd'
                    """
                let result = try await Tool.run(.name("sh"), ["-c", script, "\(Tool.path)", server.url])
                #expect(Set(result.output.split(separator: "\n")) == ["0", "1", "2", "7"])
            }
        }

        @Test("gets Ctrl-C from its terminal, and not a second time from redislock")
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

        @Test("can read from the terminal")
        func readsTerminal() async throws {
            try await RedisTestServer.with { server in
                let line = "\(Tool.path) run --node \(server.url) --key job -- sh -c \"read x; echo read=\\$x\""
                let outer = "echo typed | script -qec '\(line)' /dev/null"
                let result = try await Tool.run(.name("bash"), ["-c", outer])
                #expect(result.output.contains("read=typed"), "\(result)")
            }
        }

        @Test("is told when redislock is killed")
        func killed() async throws {
            try await RedisTestServer.with { server in
                let told = "\(server.folder)/told"
                let script = "trap 'echo told > \(told); exit 0' TERM; echo ready; while :; do sleep 0.05; done"
                let result = try await Tool.run(
                    "run", "--node", server.url, "--key", "job", "--", "sh", "-c", script
                ) { running, lines in
                    #expect(try await lines.next() == "ready")
                    try running.send(.kill)
                }
                try await waitUntil("the command has been told") { (try? readText(told)) == "told\n" }
                #expect(result.status == 137)
                #expect(result.wasSignalled)
                // Nobody released it; its ttl does.
                #expect(try server.command("EXISTS", "job") == "1")
            }
        }
    }
#endif
