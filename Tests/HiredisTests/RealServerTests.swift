import Reactor
import TestSupport
import Testing

@testable import Hiredis

@Suite("Against a real server", .timeLimit(.minutes(1)))
struct RealServerTests {
    @Test("commands get their replies, of every kind")
    func replies() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                #expect(try await client.command("PING") == .status("PONG"))
                #expect(try await client.command("SET", "key", "value") == .status("OK"))
                #expect(try await client.command("GET", "key") == .bulk(Array("value".utf8)))
                #expect(try await client.command("GET", "nothing") == .null)
                #expect(try await client.command("INCR", "counter") == .integer(1))
                #expect(
                    try await client.command("MGET", "key", "nothing", "counter").array
                        == [.bulk(Array("value".utf8)), .null, .bulk(Array("1".utf8))])
                let error = try await client.command("LPUSH", "key", "x").serverError
                #expect(error?.code == "WRONGTYPE")
                #expect(try await client.command("SET", "empty", "") == .status("OK"))
                #expect(try await client.command("GET", "empty") == .bulk([]))
            }
        }
    }

    @Test("arguments and replies are bytes: zeros, line ends and no UTF-8 pass unharmed")
    func binary() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                let bytes = (0...255).map { UInt8($0) } + Array("\r\n$5\r\n".utf8)
                let set = RedisCommand(arguments: [Array("SET".utf8), bytes, bytes])
                let get = RedisCommand(arguments: [Array("GET".utf8), bytes])
                let stored = try await client.run(set)
                #expect(stored == .status("OK"))
                #expect(try await client.run(get) == .bulk(bytes))
            }
        }
    }

    @Test("a hundred tasks share a connection, and each gets its own reply")
    func sharing() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    for task in 0..<100 {
                        group.addTask {
                            for round in 0..<20 {
                                let text = "\(task)-\(round)"
                                guard try await client.command("ECHO", text).string == text else { return false }
                            }
                            return true
                        }
                    }
                    for try await isRight in group { #expect(isRight) }
                }
                #expect(await client.generation == 1)
                #expect(await client.withConnection { $0.pendingCount } == 0)
            }
        }
    }
}
