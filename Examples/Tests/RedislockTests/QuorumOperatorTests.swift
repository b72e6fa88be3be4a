import TestSupport
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("redislock init, status and break on several nodes", .timeLimit(.minutes(1)))
struct QuorumOperatorTests {
    // MARK: init

    @Test("init makes new nodes vote at once, with a line for each, and may be repeated")
    func initializes() async throws {
        try await Quorum.withNew { quorum in
            for _ in 0..<2 {
                // A quarantine that runs is overridden.
                _ = try await Tool.run(
                    "run", "--key", "job", "--wait", "0s", "--", "true", environment: quorum.environment)
                let result = try await Tool.run("init", environment: quorum.environment)
                #expect(result.status == 0)
                #expect(result.errors == "")
                let lines = result.output.split(separator: "\n")
                #expect(lines.count == 3)
                for (line, server) in zip(lines, quorum.servers) {
                    #expect(line.contains(":\(server.port)"))
                    #expect(line.contains("it votes from now on"))
                    #expect(try server.command("HGET", "redis-locks:boot", "since") == "0")
                }
                for server in quorum.servers { try server.command("DEL", "redis-locks:boot") }
            }
            _ = try await Tool.run("init", environment: quorum.environment)
            let run = try await Tool.run(
                "run", "--key", "job", "--wait", "0s", "--", "echo", "now", environment: quorum.environment)
            #expect(run.output == "now\n")
        }
    }

    @Test("init changes nothing and says 78 when a node holds counters, which --force overrides")
    func refused() async throws {
        try await Quorum.withNew { quorum in
            try quorum.servers[1].command("SET", "{job}:fence", "1795476033000001")
            let result = try await Tool.run("init", environment: quorum.environment)
            #expect(result.status == 78)
            #expect(result.errorLines.count == 1)
            #expect(result.errors.contains("3 of 3 nodes were not initialized"))
            #expect(result.errors.contains("--force"))
            let lines = result.output.split(separator: "\n")
            try #require(lines.count == 3)
            #expect(lines.allSatisfy { $0.contains("not changed") && $0.contains("{job}:fence") })
            #expect(try quorum.ask("EXISTS", "redis-locks:boot") == ["0", "0", "0"])
            let forced = try await Tool.run("init", "--force", environment: quorum.environment)
            #expect(forced.status == 0)
            #expect(try quorum.ask("EXISTS", "redis-locks:boot") == ["1", "1", "1"])
            #expect(try quorum.servers[1].command("GET", "{job}:fence") == "1795476033000001")
        }
    }

    @Test("init says 69 when a node cannot be reached, and changes the others only with --force")
    func partial() async throws {
        try await Quorum.withNew { quorum in
            try quorum.servers[2].kill()
            let result = try await Tool.run("init", environment: quorum.environment)
            #expect(result.status == 69)
            #expect(result.errorLines.count == 1)
            #expect(result.errors.contains("3 of 3 nodes were not initialized"))
            let lines = result.output.split(separator: "\n")
            try #require(lines.count == 3)
            #expect(lines[2].contains(":\(quorum.servers[2].port)") && lines[2].contains("failed: "), "\(lines[2])")
            #expect(try quorum.ask("EXISTS", "redis-locks:boot") == ["0", "0"])
            let forced = try await Tool.run("init", "--force", environment: quorum.environment)
            #expect(forced.status == 69)
            #expect(try quorum.ask("EXISTS", "redis-locks:boot") == ["1", "1"])
        }
    }

    @Test("init says 78 when a single one of the nodes refuses the password")
    func wrongPassword() async throws {
        var locked = RedisTestServer.Options()
        locked.password = "right"
        try await Quorum.withNew([RedisTestServer.Options(), locked, RedisTestServer.Options()]) { quorum in
            var urls = quorum.servers.map(\.url)
            urls[1] = quorum.servers[1].url(password: "wr0ng")
            let result = try await Tool.run("init", environment: Quorum.environment(urls))
            #expect(result.status == 78)
            #expect(!(result.output + result.errors).contains("wr0ng"))
            #expect(result.output.split(separator: "\n").count { $0.contains("not every node could be asked") } == 2)
        }
    }

    @Test("init says 78 when a user may not look for counters, and needs not look with --force")
    func noScan() async throws {
        var options = RedisTestServer.Options()
        options.users = ["locks on >s3cret ~* &* +@all -scan"]
        try await RedisTestServer.with(options) { server in
            let environment = Quorum.environment([server.url(user: "locks", password: "s3cret")])
            let refused = try await Tool.run("init", environment: environment)
            #expect(refused.status == 78)
            #expect(refused.output.contains("NOPERM"))
            #expect(!(refused.output + refused.errors).contains("s3cret"))
            let forced = try await Tool.run("init", "--force", environment: environment)
            #expect(forced.status == 0)
        }
    }

    // MARK: status

    private struct Report: Decodable {
        struct Node: Decodable {
            var node: String
            var state: String
            var remaining_ms: Int?
            var fence: Int64?
            var quarantine_ms: Int?
            var problem: String?
        }

        var state: String
        var nodes: [Node]
    }

    private func report(_ quorum: Quorum) async throws -> (report: Report, status: Int32) {
        let result = try await Tool.run("status", "--key", "job", "--json", environment: quorum.environment)
        return (try JSONDecoder().decode(Report.self, from: Data(result.output.utf8)), result.status)
    }

    @Test("status shows all nodes side by side, and what the majority says, whatever one of them does")
    func table() async throws {
        try await Quorum.with(5) { quorum in
            for server in quorum.servers.prefix(3) {
                try server.command("SET", "job", "somebody", "PX", "60000")
                try server.command("SET", "{job}:fence", "1795476033000001")
            }
            try quorum.servers[3].command("DEL", "redis-locks:boot")
            try quorum.servers[4].kill()
            let result = try await Tool.run("status", "--key", "job", environment: quorum.environment)
            #expect(result.status == 0)
            #expect(result.errors == "")
            let lines = result.output.split(separator: "\n")
            try #require(lines.count == 7)
            #expect(lines[0] == "job: held (3 of 5 nodes hold it, 3 can vote)")
            #expect(lines[1].split(separator: " ") == ["NODE", "STATE", "EXPIRES", "IN", "FENCE", "VOTES", "PROBLEM"])
            for column in ["STATE", "EXPIRES", "FENCE", "VOTES"] {
                let start = try #require(lines[1].firstRange(of: column)).lowerBound
                let position = lines[1].distance(from: lines[1].startIndex, to: start)
                for line in lines[2...] {
                    let cell = line.utf8.dropFirst(position - 1).prefix(2).map { $0 == UInt8(ascii: " ") }
                    #expect(cell == [true, false], "\(column) in \(line)")
                }
            }
            #expect(lines[2].contains("held") && lines[2].contains("1795476033000001") && lines[2].hasSuffix("yes"))
            #expect(lines[5].contains("free") && lines[5].contains("in 62."))
            #expect(lines[6].contains("unknown") && lines[6].contains("onnect"))
        }
    }

    @Test("status in JSON says for how long a node does not vote; what such a node does not know is no \"free\"")
    func quarantine() async throws {
        try await Quorum.with { quorum in
            let (free, first) = try await report(quorum)
            #expect(first == 0)
            #expect(free.state == "free")
            #expect(free.nodes.map(\.quarantine_ms) == [nil, nil, nil])

            try quorum.servers[0].restart()
            let (one, second) = try await report(quorum)
            #expect(second == 0)
            #expect(one.state == "free")
            #expect((60_000...62_600).contains(one.nodes[0].quarantine_ms ?? 0))
            #expect(one.nodes[1].quarantine_ms == nil)

            try quorum.servers[1].restart()
            let (two, third) = try await report(quorum)
            #expect(third == 69)
            #expect(two.state == "unknown")
            #expect(two.nodes.allSatisfy { $0.state == "free" && $0.problem == nil })
            #expect(try quorum.ask("EXISTS", "redis-locks:boot") == ["0", "0", "1"], "status changes nothing")
        }
    }

    @Test("status shows the table and says 69 when a majority is dead")
    func majorityDead() async throws {
        try await Quorum.with { quorum in
            for server in quorum.servers.dropFirst() { try server.kill() }
            let result = try await Tool.run("status", "--key", "job", environment: quorum.environment)
            #expect(result.status == 69)
            #expect(result.output.hasPrefix("job: unknown"))
            #expect(result.errorLines.count == 1)
            for server in quorum.servers.dropFirst() { #expect(result.errors.contains(":\(server.port)")) }
        }
    }

    @Test("status answers although one of the nodes refuses the password, and shows that")
    func oneRefuses() async throws {
        var locked = RedisTestServer.Options()
        locked.password = "right"
        try await Quorum.withNew([locked, RedisTestServer.Options(), RedisTestServer.Options()]) { quorum in
            var urls = quorum.servers.map(\.url)
            _ = try await Tool.run("init", environment: Quorum.environment(urls))
            urls[0] = quorum.servers[0].url(password: "wr0ng")
            let result = try await Tool.run("status", "--key", "job", environment: Quorum.environment(urls))
            #expect(result.status == 0)
            #expect(result.output.hasPrefix("job: free"))
            #expect(result.output.contains("password"), "\(result.output)")
        }
    }

    // MARK: break

    @Test("break takes the lock from all nodes, and from those that are left when one is dead")
    func breaks() async throws {
        try await Quorum.with { quorum in
            let result = try await Tool.run(
                "run", "--key", "job", "--ttl", "3s", "--", "sh", "-c", "echo ready; exec sleep 600",
                environment: quorum.environment
            ) { _, lines in
                #expect(try await lines.next() == "ready")
                let broken = try await Tool.run("break", "--key", "job", "--yes", environment: quorum.environment)
                #expect(broken.status == 0)
                #expect(broken.output == "job: the lock was removed\n")
                #expect(try quorum.ask("EXISTS", "job") == ["0", "0", "0"])
            }
            #expect(result.status == 74)

            for server in quorum.servers { try server.command("SET", "job", "somebody") }
            try quorum.servers[0].kill()
            let again = try await Tool.run("break", "--key", "job", "--yes", environment: quorum.environment)
            #expect(again.status == 0)
            #expect(try quorum.ask("EXISTS", "job") == ["0", "0"])
            #expect(try quorum.ask("EXISTS", "{job}:fence").contains("1"))

            try quorum.servers[1].kill()
            let never = try await Tool.run("break", "--key", "job", "--yes", environment: quorum.environment)
            #expect(never.status == 69)
            #expect(never.errorLines.count == 1)
        }
    }
}
