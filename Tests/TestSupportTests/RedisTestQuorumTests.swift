import TestSupport
import Testing

@Suite("Several servers at once", .timeLimit(.minutes(2)))
struct RedisTestQuorumTests {
    @Test("Five servers, killed, wiped and restarted; the others keep their data")
    func wiped() async throws {
        var options = RedisTestServer.Options()
        options.isPersistent = true
        try await RedisTestQuorum.with(.init(count: 5, isProxied: true, server: options)) { quorum in
            #expect(Set(quorum.urls + quorum.directURLs).count == 10)
            try quorum.setCounter(of: "x", to: [1, 2, 3, 4, 5])
            try await quorum.restart([0])
            try await quorum.restartEmpty([1, 2])
            #expect(try quorum.counters(of: "x") == [1, 0, 0, 4, 5])
        }
    }

    #if os(Linux)
        @Test("A server's clock jumps, and runs faster, when the test says so")
        func clock() async throws {
            try await RedisTestQuorum.with(.init(count: 2, hasClocks: true)) { quorum in
                func time(_ server: RedisTestServer) throws -> Int {
                    try #require(Int(server.command("TIME").split(separator: "\n").first ?? ""))
                }
                try quorum.clocks[0].jump(by: .seconds(3600))
                let difference = try time(quorum.servers[0]) - time(quorum.servers[1])
                #expect((3599...3601).contains(difference))
                try quorum.servers[0].command("SET", "k", "v", "EX", "60")
                try quorum.clocks[0].jump(by: .seconds(61))
                #expect(try quorum.servers[0].command("GET", "k") == "")
                try quorum.clocks[0].jump(by: .seconds(-3661))
                try quorum.clocks[1].setRate(1000)
                let before = try time(quorum.servers[1])
                try await waitUntil("many seconds have passed") { try time(quorum.servers[1]) > before + 10 }
            }
        }
    #endif
}
