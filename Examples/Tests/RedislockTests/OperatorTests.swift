import TestSupport
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("redislock status, break and demo", .timeLimit(.minutes(1)))
struct OperatorTests {
    private struct Report: Decodable {
        struct Node: Decodable {
            var node: String
            var state: String
            var remaining_ms: Int?
            var fence: Int64?
            var problem: String?
        }

        var key: String
        var state: String
        var nodes: [Node]
    }

    private func report(_ server: RedisTestServer, key: String = "job") async throws -> (Report, Tool.Finished) {
        let result = try await Tool.run("status", "--node", server.url, "--key", key, "--json")
        return (try JSONDecoder().decode(Report.self, from: Data(result.output.utf8)), result)
    }

    @Test("status tells a free lock, a held one and its fence, in JSON and in words")
    func status() async throws {
        try await RedisTestServer.with { server in
            let (free, first) = try await report(server)
            #expect(first.status == 0)
            #expect(free.key == "job")
            #expect(free.state == "free")
            #expect(free.nodes.count == 1)
            #expect(free.nodes.first?.fence == nil)
            #expect(try server.command("DBSIZE") == "0")

            try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--", "sh", "-c",
                "echo $REDISLOCK_FENCING_TOKEN; exec sleep 600"
            ) { running, lines in
                let token = try #require(Int64(try await lines.next() ?? ""))
                let (held, _) = try await report(server)
                #expect(held.state == "held")
                #expect(held.nodes.first?.fence == token)
                #expect((1...10_000).contains(held.nodes.first?.remaining_ms ?? 0))
                let text = try await Tool.run("status", "--node", server.url, "--key", "job")
                #expect(text.status == 0)
                #expect(text.output.contains("job: held"))
                #expect(text.output.contains("\(token)"))
                try running.send(.terminate)
            }
            try server.command("SET", "eternal", "x")
            let (eternal, _) = try await report(server, key: "eternal")
            #expect(eternal.state == "held")
            #expect(eternal.nodes.first?.remaining_ms == nil)
        }
    }

    @Test("status says 69 when nobody answers")
    func statusUnreachable() async throws {
        try await withTemporaryDirectory { folder in
            let result = try await Tool.run("status", "--node", "unix://\(folder)/none", "--key", "job")
            #expect(result.status == 69)
            #expect(result.errorLines.count == 1)
        }
    }

    @Test("break without --yes changes nothing, says what it would do, and exits with 64")
    func breakUnconfirmed() async throws {
        try await RedisTestServer.with { server in
            try server.command("SET", "job", "somebody", "PX", "60000")
            let result = try await Tool.run("break", "--node", server.url, "--key", "job")
            #expect(result.status == 64)
            #expect(result.output.contains("held"))
            #expect(result.errors.contains("--yes"))
            #expect(try server.command("GET", "job") == "somebody")
        }
    }

    @Test("break removes the lock and never the fence; the next token is greater")
    func breaks() async throws {
        try await RedisTestServer.with { server in
            let first = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--", "sh", "-c", "echo $REDISLOCK_FENCING_TOKEN")
            try server.command("SET", "job", "somebody")
            let broken = try await Tool.run("break", "--node", server.url, "--key", "job", "--yes")
            #expect(broken.status == 0)
            #expect(broken.output.contains("removed"))
            #expect(try server.command("EXISTS", "job") == "0")
            #expect(try server.command("EXISTS", "{job}:fence") == "1")
            let again = try await Tool.run("break", "--node", server.url, "--key", "job", "--yes")
            #expect(again.status == 0)
            #expect(again.output.contains("nobody held it"))
            let second = try await Tool.run(
                "run", "--node", server.url, "--key", "job", "--", "sh", "-c", "echo $REDISLOCK_FENCING_TOKEN")
            let tokens = [first, second].compactMap { Int64($0.output.filter(\.isNumber)) }
            try #require(tokens.count == 2)
            #expect(tokens[0] < tokens[1])
        }
    }

    @Test("demo shows contention, a freeze with a refused late write and a broken lock, without escape codes in a pipe")
    func demo() async throws {
        try await RedisTestServer.with { server in
            let result = try await Tool.run("demo", "--node", server.url, "--seconds", "3")
            #expect(result.status == 0, "\(result.errors)")
            for word in [
                "FROZEN", "REFUSED", "exit status 74", "breaks the lock", "strictly increasing", "lost updates   0",
            ] {
                #expect(result.output.contains(word), "\(word) in \(result.output)")
            }
            #expect(!result.output.contains("\u{1B}"))
            // What stays is the fencing counter, which expires.
            #expect(try server.command("DBSIZE") == "1")
        }
    }

    @Test("demo ends soon when it is interrupted, and leaves no process behind")
    func demoInterrupted() async throws {
        try await RedisTestServer.with { server in
            let result = try await Tool.run("demo", "--node", server.url, "--seconds", "3600") { running, lines in
                while let line = try await lines.next(), !line.contains("holds the lock") {}
                try running.send(.interrupt)
            }
            #expect(result.status == 130)
        }
    }
}
