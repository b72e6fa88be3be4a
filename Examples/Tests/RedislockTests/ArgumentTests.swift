import RedislockKit
import Testing

@Suite("Arguments", .timeLimit(.minutes(1)))
struct ArgumentTests {
    private static let tenNodes = (1...10).flatMap { ["--node", "redis://h\($0)"] }

    @Test(
        "that make no sense are refused with status 64 and one line that says why",
        arguments: [
            (["run"], "--key"),
            (["run", "--key", "k", "--", "true"], "REDISLOCK_NODES"),
            (["run", "--node", "redis://h", "--key", "k"], "no command given"),
            (["run", "--node", "redis://h", "--key", "k", "true"], "no command given"),
            (["run", "--node", "redis://h", "--key", "k", "--"], "no command given"),
            (["run", "--node", "redis://h", "--key", "k", "--ttl", "10", "--", "true"], "a number and a unit"),
            (["run", "--node", "redis://h", "--key", "k", "--ttl", "99ms", "--", "true"], "between 100ms and"),
            (["run", "--node", "redis://h", "--key", "k", "--ttl", "2m", "--", "true"], "--maximum-ttl"),
            (["run", "--node", "redis://h", "--key", "k", "--wait", "9000h", "--", "true"], "a year"),
            (["run", "--node", "redis://h", "--key", "k", "--nope", "--", "true"], "--nope"),
            (["run", "--node", "redis://h", "--key", "{k}", "--", "true"], "{"),
            (["run", "--node", "redis://h", "--key", "", "--", "true"], ""),
            (["run", "--node", "redis://a", "--node", "redis://a", "--key", "k", "--", "true"], "different servers"),
            (["run", "--key", "k"] + Self.tenNodes + ["--", "true"], "10 lock nodes"),
            (["status", "--key", "k"] + Self.tenNodes, "10 lock nodes"),
            (["break", "--key", "k", "--yes"] + Self.tenNodes, "10 lock nodes"),
            (["init"] + Self.tenNodes, "10 lock nodes"),
            (["demo"] + Self.tenNodes, "10 lock nodes"),
            (["init"], "REDISLOCK_NODES"),
            (["status", "--node", "redis://h", "--key", "k", "--maximum-ttl", "25h"], "--maximum-ttl"),
            (["demo", "--private", "2"], "--private"),
            (["demo", "--private", "3", "--node", "redis://h"], "--private"),
            (["demo", "--private", "3", "--maximum-ttl", "5s"], "--private"),
            (["run", "--node", "http://h", "--key", "k", "--", "true"], "scheme"),
            (["run", "--node", "rediss://h", "--key", "k", "--", "true"], "TLS"),
            (["run", "--node", "redis://h:99999", "--key", "k", "--", "true"], "port"),
            (["run", "--node", "redis://:pw@192.0.2.1", "--key", "k", "--", "true"], "--unsafe-plaintext-password"),
            (["break", "--node", "redis://:pw@192.0.2.1", "--key", "k"], "--unsafe-plaintext-password"),
            (["status", "--node", "redis://h:x", "--key", "k"], "port"),
            (["status", "--key", "k"], "REDISLOCK_NODES"),
            (["break", "--key"], "--key"),
            (["demo", "--node", "redis://h", "--seconds", "1"], "--seconds"),
            (["dance"], "dance"),
        ])
    func refused(arguments: [String], hint: String) async throws {
        let result = try await Tool.run(.path(Tool.path), arguments)
        #expect(result.status == 64)
        #expect(result.errorLines.count == 1)
        #expect(result.errors.hasPrefix("redislock: "))
        #expect(hint.isEmpty || result.errors.contains(hint), "\(result.errors)")
        #expect(result.output == "")
    }

    @Test("A bad URL's password is not repeated in the error")
    func noPassword() async throws {
        let result = try await Tool.run("status", "--node", "redis://me:s3cret@host:port", "--key", "k")
        #expect(result.status == 64)
        #expect(!result.errors.contains("s3cret"))
    }

    @Test("--help says what a user needs, within 80 columns", arguments: ["run", "status", "break", "init", "demo"])
    func help(command: String) async throws {
        let result = try await Tool.run(command, "--help", environment: ["COLUMNS": "80"])
        #expect(result.status == 0)
        #expect(result.output.contains("EXIT STATUS"))
        #expect(result.output.contains("--node"))
        let discussion = result.output.prefix { $0 != "\0" }.split(separator: "\n")
        #expect(discussion.allSatisfy { $0.count <= 80 || $0.hasPrefix("USAGE") })
        if command == "run" {
            for word in [
                "REDISLOCK_KEY", "REDISLOCK_FENCING_TOKEN", "REDISLOCK_DEADLINE", "75", "69", "74", "64", "78",
            ] {
                #expect(result.output.contains(word))
            }
        }
    }

    @Test("The nodes are those of the command line, else those of the environment")
    func nodes() throws {
        #expect(try NodeList.resolve(options: ["redis://a"], environment: "redis://b") == ["redis://a"])
        #expect(
            try NodeList.resolve(options: ["redis://a", "redis://c"], environment: nil) == ["redis://a", "redis://c"])
        #expect(try NodeList.resolve(options: [], environment: " redis://b , ") == ["redis://b"])
        #expect(try NodeList.resolve(options: [], environment: "redis://a, redis://b") == ["redis://a", "redis://b"])
        #expect(throws: Failure.self) { try NodeList.resolve(options: [], environment: nil) }
    }
}
