import Testing

@testable import TestSupport

@Suite("The proxy between clients and a server", .timeLimit(.minutes(2)))
struct FaultProxyTests {
    @Test("Everything passes, in both directions, in pieces of any size", arguments: [nil, 1, 7])
    func passes(slice: Int?) async throws {
        try await withProxy { server, proxy in
            proxy.setSlices(.requests, of: slice)
            proxy.setSlices(.replies, of: slice)
            let client = try RESPClient(port: proxy.port)
            let value = String(repeating: "a\r\nb", count: slice == 1 ? 50 : 50_000)
            #expect(try client.send(["SET", "k", value]) == .text("OK"))
            #expect(try client.send(["MGET", "k", "none"]) == .array([.text(value), .null]))
            #expect(proxy.seen.requests.map(\.arguments.first) == ["SET", "MGET"])
            #expect(proxy.seen.replies.count == 2)
        }
    }

    @Test("What is held waits, with all that comes behind it, until it is let go")
    func holds() async throws {
        try await withProxy { server, proxy in
            proxy.set(.requests) { $0.arguments[0] == "SET" ? .hold : .pass }
            let client = try RESPClient(port: proxy.port)
            async let replies = RedisTestServer.blocking { [client = Confined(client)] in
                [try client.value.send(["SET", "k", "1"]), try client.value.send(["INCR", "k"])]
            }
            try await proxy.waitForHeld(.requests, count: 1)
            #expect(try server.command("EXISTS", "k") == "0")
            proxy.set(.replies, .hold)
            proxy.release(.requests)
            try await proxy.waitForHeld(.replies, count: 1)
            #expect(try server.command("GET", "k") == "1")
            proxy.heal()
            #expect(try await replies == [.text("OK"), .integer(2)])
        }
    }

    @Test("A delayed request comes later, and not before")
    func delays() async throws {
        try await withProxy { server, proxy in
            proxy.set(.requests, .delay(.milliseconds(50)))
            let client = try RESPClient(port: proxy.port)
            let start = ContinuousClock.now
            #expect(try client.send(["PING"]) == .text("PONG"))
            #expect(start.duration(to: .now) >= .milliseconds(50))
        }
    }

    @Test("A dropped request is not executed, a dropped reply was; nothing follows on that connection")
    func drops() async throws {
        try await withProxy { server, proxy in
            let client = try RESPClient(port: proxy.port, patience: .milliseconds(100))
            proxy.set(.replies, .drop)
            #expect(throws: TestSupportError.self) { try client.send(["SET", "a", "1"]) }
            try await proxy.wait(for: "the reply") { $0.replies.count == 1 }
            #expect(try server.command("GET", "a") == "1")
            proxy.heal()
            #expect(throws: TestSupportError.self) { try client.send(["PING"]) }
            let second = try RESPClient(port: proxy.port, patience: .milliseconds(100))
            proxy.set(.requests, .drop)
            #expect(throws: TestSupportError.self) { try second.send(["SET", "b", "1"]) }
            #expect(proxy.seen.requests.count == 3)
            #expect(try server.command("GET", "b") == "")
        }
    }

    @Test("A duplicated request is executed twice, and answered once")
    func duplicates() async throws {
        try await withProxy { server, proxy in
            proxy.set(.requests) { $0.arguments[0] == "INCR" ? .duplicate : .pass }
            let client = try RESPClient(port: proxy.port)
            #expect(try client.send(["INCR", "k"]) == .integer(1))
            #expect(try client.send(["GET", "k"]) == .text("2"))
        }
    }

    @Test("A connection is closed in the middle of an exchange, gently or not", arguments: [false, true])
    func cuts(reset: Bool) async throws {
        try await withProxy { server, proxy in
            proxy.set(.replies, reset ? .reset : .cut)
            let client = try RESPClient(port: proxy.port)
            #expect(throws: TestSupportError.self) { try client.send(["SET", "k", "1"]) }
            #expect(try server.command("GET", "k") == "1", "it was executed")
            proxy.heal()
            let second = try RESPClient(port: proxy.port)
            #expect(try second.send(["PING"]) == .text("PONG"))
            proxy.cut(reset: reset)
            try await proxy.wait(for: "no connection") { $0.openConnections == 0 }
            #expect(throws: TestSupportError.self) { try second.send(["PING"]) }
        }
    }

    @Test("What a client sent before it went away arrives all the same, when it is let go")
    func zombies() async throws {
        try await withProxy { server, proxy in
            proxy.set(.requests, .hold)
            do {
                let client = try RESPClient(port: proxy.port, patience: .milliseconds(1))
                #expect(throws: TestSupportError.self) { try client.send(["SET", "k", "1"]) }
            }
            try await proxy.waitForHeld(.requests, count: 1)
            #expect(try server.command("EXISTS", "k") == "0")
            proxy.release(.requests)
            try await waitUntil("it has arrived") { try server.command("EXISTS", "k") == "1" }
        }
    }

    @Test("Who waits in vain is told for what; a stopped proxy keeps nobody waiting")
    func waiting() async throws {
        try await withProxy { _, proxy in
            let error = await #expect(throws: TestSupportError.self) {
                try await proxy.wait(for: "a miracle", within: .milliseconds(10)) { _ in false }
            }
            #expect(error?.description.contains("a miracle") == true)
            let waiter = Task { try await proxy.wait(for: "an end") { _ in false } }
            await proxy.stop()
            await #expect(throws: TestSupportError.self) { try await waiter.value }
            await #expect(throws: TestSupportError.self) { try await proxy.wait(for: "more") { _ in false } }
        }
    }

    @Test("A server that is down: the client's connection ends at once; when it is up again, connections work")
    func downServer() async throws {
        try await withProxy { server, proxy in
            try server.kill()
            let client = try RESPClient(port: proxy.port)
            #expect(throws: TestSupportError.self) { try client.send(["PING"]) }
            try server.restart()
            #expect(try RESPClient(port: proxy.port).send(["PING"]) == .text("PONG"))
        }
    }
}

/// Guard: only one task uses the client at a time.
private struct Confined: @unchecked Sendable {
    let value: RESPClient
    init(_ value: RESPClient) { self.value = value }
}

private func withProxy(_ body: (RedisTestServer, FaultProxy) async throws -> Void) async throws {
    try await RedisTestServer.with { server in
        try await FaultProxy.with(to: server.port) { proxy in try await body(server, proxy) }
    }
}
