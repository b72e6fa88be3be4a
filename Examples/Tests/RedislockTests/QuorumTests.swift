import TestSupport
import Testing

@Suite("redislock run on several nodes", .timeLimit(.minutes(1)))
struct QuorumTests {
    private func run(_ quorum: Quorum, _ options: [String] = [], _ command: [String]) async throws -> Tool.Finished {
        try await Tool.run(
            .path(Tool.path), ["run", "--key", "job"] + options + ["--"] + command, environment: quorum.environment)
    }

    @Test("holds the lock on all of them, releases it on all, and gives tokens that rise")
    func holds() async throws {
        try await Quorum.with(5) { quorum in
            var tokens: [Int64] = []
            for _ in 0..<3 {
                let result = try await Tool.run(
                    "run", "--key", "job", "--", "sh", "-c", "echo $REDISLOCK_FENCING_TOKEN; exec sleep 600",
                    environment: quorum.environment
                ) { running, lines in
                    let token = try #require(Int64(try await lines.next() ?? ""))
                    tokens.append(token)
                    try await waitUntil("all nodes hold it") {
                        try quorum.ask("EXISTS", "job").allSatisfy { $0 == "1" }
                    }
                    #expect(try quorum.ask("GET", "{job}:fence").contains("\(token)"))
                    try running.send(.terminate)
                }
                #expect(result.status == 143)
                try await waitUntil("all nodes are free") { try quorum.ask("EXISTS", "job").allSatisfy { $0 == "0" } }
            }
            #expect(zip(tokens, tokens.dropFirst()).allSatisfy { $0 < $1 })
        }
    }

    @Test("takes --node repeatedly")
    func repeated() async throws {
        try await Quorum.with { quorum in
            let nodes = quorum.servers.flatMap { ["--node", $0.url] }
            let result = try await Tool.run(.path(Tool.path), ["run"] + nodes + ["--key", "job", "--", "echo", "done"])
            #expect(result.output == "done\n")
            #expect(result.errors == "")
        }
    }

    @Test("keeps the lock for longer than its ttl although one of three nodes dies")
    func oneDies() async throws {
        try await Quorum.with { quorum in
            let result = try await Tool.run(
                "run", "-v", "--key", "job", "--ttl", "4s", "--", "sh", "-c", "echo ready; sleep 6; echo done",
                environment: quorum.environment
            ) { _, lines in
                #expect(try await lines.next() == "ready")
                try quorum.servers[1].kill()
            }
            #expect(result.status == 0)
            #expect(result.output == "done")
            #expect(result.errors.contains("Renewed the lease."))
            let next = try await run(quorum, [], ["echo", "next"])
            #expect(next.output == "next\n")
        }
    }

    @Test("says 69 and what each node did when a majority is dead")
    func majorityDead() async throws {
        try await Quorum.with { quorum in
            for server in quorum.servers.dropFirst() { try server.kill() }
            let result = try await run(quorum, ["--wait", "300ms"], ["echo", "never"])
            #expect(result.status == 69)
            #expect(result.output == "")
            #expect(result.errorLines.count == 1)
            #expect(result.errors.contains("Too few nodes answered"))
            for server in quorum.servers { #expect(result.errors.contains(":\(server.port)"), "\(result.errors)") }
        }
    }

    @Test("loses the lock in time when a majority dies")
    func majorityDies() async throws {
        try await Quorum.with { quorum in
            let result = try await Tool.run(
                "run", "--key", "job", "--ttl", "3s", "--", "sh", "-c", "echo ready; exec sleep 600",
                environment: quorum.environment
            ) { _, lines in
                #expect(try await lines.next() == "ready")
                for server in quorum.servers.dropFirst() { try server.kill() }
            }
            #expect(result.status == 74)
            #expect(result.errors.contains("could not be renewed"))
        }
    }

    @Test("says 69 on nodes that do not vote yet: which, for how long, and what to do about new ones")
    func quarantined() async throws {
        try await Quorum.withNew { quorum in
            let result = try await run(quorum, ["--wait", "0s"], ["echo", "never"])
            #expect(result.status == 69)
            #expect(result.output == "")
            #expect(result.errorLines.count == 1)
            for server in quorum.servers { #expect(result.errors.contains(":\(server.port)"), "\(result.errors)") }
            #expect(result.errors.contains("redislock init"))
            #expect(result.errors.contains("does not vote for another 62"), "\(result.errors)")
        }
    }

    @Test("waits until new nodes vote, for a time that --maximum-ttl sizes")
    func waitsForQuarantine() async throws {
        try await Quorum.withNew { quorum in
            let options = ["--maximum-ttl", "2s", "--ttl", "2s", "--wait", "50s"]
            let result = try await run(quorum, options, ["echo", "at last"])
            #expect(result.output == "at last\n")
            #expect(result.errors == "")
        }
    }

    @Test("--unsafe-no-restart-guard lets new nodes vote, and writes no record")
    func noGuard() async throws {
        try await Quorum.withNew { quorum in
            let result = try await run(quorum, ["--unsafe-no-restart-guard", "--wait", "0s"], ["echo", "now"])
            #expect(result.output == "now\n")
            #expect(try quorum.ask("EXISTS", "redis-locks:boot") == ["0", "0", "0"])
        }
    }

    @Test("--durable: nodes that kept everything vote right after a restart, others not")
    func durable() async throws {
        var options = RedisTestServer.Options()
        options.isPersistent = true
        try await Quorum.withNew(Array(repeating: options, count: 3)) { quorum in
            _ = try await Tool.run("init", environment: quorum.environment)
            let first = try await run(quorum, ["--durable"], ["echo", "first"])
            #expect(first.output == "first\n")
            for server in quorum.servers { try server.restart() }
            let second = try await run(quorum, ["--durable", "--wait", "0s"], ["echo", "second"])
            #expect(second.output == "second\n", "\(second)")
            // To those who do not know it, a restart is a restart.
            for server in quorum.servers { try server.restart() }
            let volatile = try await run(quorum, ["--wait", "0s"], ["echo", "third"])
            #expect(volatile.status == 69)
        }
    }

    @Test("--durable refuses nodes that do not write what they acknowledge")
    func notDurable() async throws {
        try await Quorum.withNew { quorum in
            let result = try await run(quorum, ["--durable", "--wait", "0s"], ["echo", "never"])
            #expect(result.status == 78)
            #expect(result.errorLines.count == 1)
            #expect(result.output == "")
        }
    }

    @Test("warns with -v, and only then, that an even number of nodes is no better")
    func even() async throws {
        try await Quorum.with(2) { quorum in
            let quiet = try await run(quorum, [], ["true"])
            #expect(quiet.status == 0)
            #expect(quiet.errors == "")
            let verbose = try await run(quorum, ["-v"], ["true"])
            #expect(verbose.status == 0)
            #expect(verbose.errorLines.count { $0.contains("tolerate no more failures than 1") } == 1)
        }
    }

    @Test("No password is shown, whatever goes wrong with the node that needs it")
    func passwords() async throws {
        var options = RedisTestServer.Options()
        options.password = "s3cret"
        try await Quorum.withNew(Array(repeating: options, count: 3)) { quorum in
            var results: [Tool.Finished] = []
            func tell(_ words: [String], _ urls: [String]) async throws {
                results.append(
                    try await Tool.run(.path(Tool.path), words, environment: Quorum.environment(urls)))
            }
            let urls = quorum.servers.map(\.url)
            try await tell(["init", "-v"], urls)
            try await tell(["status", "-v", "--key", "job"], urls)
            try await tell(["run", "-v", "--key", "job", "--", "true"], urls)
            try await tell(["run", "-v", "--key", "job", "--", "true"], urls + [urls[0]])
            let wrong = urls.map { $0.replacing("s3cret", with: "wr0ng") }
            for command in [["init"], ["status", "--key", "job"], ["run", "--key", "job", "--", "true"]] {
                try await tell(command, wrong)
            }
            for server in quorum.servers.dropFirst() { try server.kill() }
            try await tell(["run", "-v", "--key", "job", "--wait", "0s", "--", "true"], urls)
            try await tell(["status", "-v", "--key", "job", "--json"], urls)
            try await tell(["init", "-v"], urls)
            #expect(results.map(\.status) == [0, 0, 0, 64, 78, 78, 78, 69, 69, 78])
            for result in results {
                #expect(!(result.output + result.errors).contains("s3cret"))
                #expect(!(result.output + result.errors).contains("wr0ng"))
            }
        }
    }
}
