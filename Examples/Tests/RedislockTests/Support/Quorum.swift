import TestSupport

/// Several private servers, and what a command needs to find them.
struct Quorum {
    let servers: [RedisTestServer]

    var environment: [String: String] { Self.environment(servers.map(\.url)) }

    static func environment(_ urls: [String]) -> [String: String] {
        ["REDISLOCK_NODES": urls.joined(separator: ",")]
    }

    /// Starts servers that have never voted, one for each of `options`.
    static func withNew<Result>(
        _ options: [RedisTestServer.Options], started: [RedisTestServer] = [],
        _ body: (Quorum) async throws -> Result
    ) async throws -> Result {
        guard let first = options.first else { return try await body(Quorum(servers: started)) }
        return try await RedisTestServer.with(first) { server in
            try await withNew(Array(options.dropFirst()), started: started + [server], body)
        }
    }

    static func withNew<Result>(_ count: Int = 3, _ body: (Quorum) async throws -> Result) async throws -> Result {
        try await withNew(Array(repeating: RedisTestServer.Options(), count: count), body)
    }

    /// Starts servers that vote.
    static func with<Result>(_ count: Int = 3, _ body: (Quorum) async throws -> Result) async throws -> Result {
        try await withNew(count) { quorum in
            let result = try await Tool.run("init", environment: quorum.environment)
            guard result.status == 0 else { throw TestSupportError("init: \(result)") }
            return try await body(quorum)
        }
    }

    /// What every node that runs answers to a command.
    func ask(_ words: String...) throws -> [String] {
        try servers.filter { $0.processIdentifier != 0 }.map { try $0.send(words).description }
    }
}
