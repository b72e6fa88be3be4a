import Reactor
import TestSupport
import Testing

@testable import Hiredis

@Suite("The pipeline", .timeLimit(.minutes(1)))
struct PipelineTests {
    /// Answers `ECHO` with its argument, for ever.
    @Sendable static func echo(_ peer: FakePeerConnection) throws {
        try peer.shakeHands()
        while true {
            let command = try peer.readCommand()
            try peer.send("+\(command.last ?? "")\r\n")
        }
    }

    @Test("commands of one turn leave in one write")
    func oneWrite() async throws {
        let chunks = Record<Int>()
        try await FakePeer.with { peer in
            try peer.shakeHands()
            var commands = 0
            while true {
                commands += try peer.readChunk().filter { $0 == UInt8(ascii: "*") }.count
                chunks.append(commands)
                if commands == 100 { try peer.send(String(repeating: ":1\r\n", count: 100)) }
            }
        } _: { peer in
            try await withClient(peer.url) { client in
                await client.keepConnected()
                await client.waitForHealth(\.isReady)
                let before = await client.withConnection { $0.writeCount }
                let results = await client.pipeline(
                    (0..<100).map { RedisCommand("GET", "key-\($0)") }, timeout: .seconds(20))
                #expect(results.allSatisfy { (try? $0.get()) == .integer(1) })
                #expect(await client.withConnection { $0.writeCount } == before + 1)
                #expect(chunks.elements == [100])
            }
        }
    }

    @Test("commands given before there is a connection wait for it, in order")
    func early() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                let commands = (0..<1_000).map { RedisCommand("RPUSH", "list", "\($0)") }
                let results = await client.pipeline(commands, timeout: .seconds(20))
                #expect(results.map { try? $0.get().integer } == (1...1_000).map { Int64($0) })
            }
        }
    }

    @Test("a socket that is full is waited for, and nothing is lost")
    func backPressure() async throws {
        try await RedisTestServer.with { server in
            var configuration = testConfiguration()
            configuration.limits.bulkBytes = 1 << 20
            try await withClient(server.url, configuration) { client in
                let big = String(repeating: "x", count: 1 << 20)
                let results = await client.pipeline(
                    (0..<24).map { _ in RedisCommand("ECHO", big) }, timeout: .seconds(20))
                #expect(results.count == 24)
                #expect(results.allSatisfy { (try? $0.get().string?.utf8.count) == 1 << 20 })
            }
        }
    }

    @Test("a completion is never called inside submit, whatever goes wrong")
    func neverInside() async throws {
        try await FakePeer.with(Self.echo) { peer in
            try await withClient(peer.url, testConfiguration { $0.maximumPending = 1 }) { client in
                let codes = Record<RedisError.Code?>()
                await client.withConnection { connection in
                    let isInside = OnReactor(true)
                    func submit(_ command: RedisCommand, _ deadline: ContinuousClock.Instant) {
                        connection.submit(command, deadline: deadline) { result in
                            #expect(!isInside.value)
                            if case .failure(let error) = result { codes.append(error.code) } else { codes.append(nil) }
                        }
                    }
                    submit(RedisCommand("ECHO", "x"), .now + .seconds(20))
                    submit(RedisCommand("ECHO", "x"), .now + .seconds(20))
                    submit(RedisCommand("MONITOR"), .now + .seconds(20))
                    submit(RedisCommand("SUBSCRIBE", "x"), .now + .seconds(20))
                    isInside.value = false
                }
                let all = await codes.wait { $0.count == 4 }
                #expect(Set(all) == [nil, .overloaded, .unsupportedCommand])
            }
        }
    }

    @Test("a cancelled command frees its caller at once, and its late reply hits nobody")
    func cancellation() async throws {
        let (received, release) = (Gate(), Gate())
        try await FakePeer.with { peer in
            try peer.shakeHands()
            let commands = try (0..<3).map { _ in try peer.readCommand() }
            received.open()
            release.waitBlocking()
            for command in commands { try peer.send("+\(command[1])\r\n") }
            try peer.hang()
        } _: { peer in
            try await withClient(peer.url) { client in
                async let first = client.command("ECHO", "first")
                try await client.waitForPending(1)
                let cancelled = Task { await client.failure(of: "ECHO", "second") }
                try await client.waitForPending(2)
                async let third = client.command("ECHO", "third")
                await received.wait()
                cancelled.cancel()
                let error = await cancelled.value
                #expect(error?.code == .cancelled)
                #expect(error?.mayHaveBeenExecuted == true)
                #expect(await client.withConnection { $0.pendingCount } == 3, "the slot stays")
                release.open()
                let neighbours = try await [first.string, third.string]
                #expect(neighbours == ["first", "third"])
                #expect(await client.withConnection { $0.pendingCount } == 0)
            }
            #expect(peer.acceptedCount == 1)
        }
    }

    @Test("a task cancelled before it calls sends nothing")
    func cancelledBefore() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                let task = Task {
                    withUnsafeCurrentTask { $0?.cancel() }
                    return await client.failure(of: "SET", "x", "y")
                }
                let error = await task.value
                #expect(error?.code == .cancelled)
                #expect(error?.mayHaveBeenExecuted == false)
                let exists = try await client.command("EXISTS", "x")
                #expect(exists == .integer(0))
            }
        }
    }

    @Test("a storm of cancellations leaves every reply with its own caller")
    func cancelStorm() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for worker in 0..<16 {
                        group.addTask {
                            for round in 0..<100 {
                                let text = "\(worker).\(round)"
                                let task = Task { try await client.command("ECHO", text).string }
                                if (worker + round).isMultiple(of: 2) { task.cancel() }
                                let result = await task.result
                                switch result {
                                case .success(let reply): #expect(reply == text)
                                case .failure(let error): #expect((error as? RedisError)?.code == .cancelled)
                                }
                            }
                        }
                    }
                    try await group.waitForAll()
                }
                #expect(try await client.command("ECHO", "end").string == "end")
                #expect(await client.generation == 1)
                #expect(await client.withConnection { $0.pendingCount } == 0)
            }
        }
    }

    @Test("commands cancelled while there is no connection do not pile up")
    func cancelWithoutConnection() async throws {
        let client = try RedisClient(
            url: RedisURL("redis://127.0.0.1:\(try unusedPort())"), configuration: testConfiguration())
        await client.withConnection { connection in
            for _ in 0..<10_000 {
                let id = connection.submit(RedisCommand("PING"), deadline: .now + .seconds(60)) { _ in }
                connection.cancel(id)
            }
            #expect(connection.pendingCount < 200)
        }
        await client.close(timeout: .zero)
    }

    @Test("a pipeline's results keep their order, errors in their place")
    func pipelineOrder() async throws {
        try await RedisTestServer.with { server in
            try await withClient(server.url) { client in
                let results = await client.pipeline(
                    [RedisCommand("SET", "x", "1"), RedisCommand("LPUSH", "x", "1"), RedisCommand("GET", "x")],
                    timeout: .seconds(20))
                let values = results.map { try? $0.get() }
                #expect(values[0] == .status("OK"))
                #expect(values[1]?.serverError?.code == "WRONGTYPE")
                #expect(values[2]?.string == "1")
                #expect(await client.pipeline([], timeout: .seconds(1)).isEmpty)
            }
        }
    }
}

/// A loopback port on which nobody listens.
func unusedPort() throws -> UInt16 {
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    #if canImport(Glibc)
        let descriptor = socket(AF_INET, CInt(SOCK_STREAM.rawValue), 0)
    #else
        let descriptor = socket(AF_INET, SOCK_STREAM, 0)
    #endif
    defer { close(descriptor) }
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    let status = withUnsafeMutablePointer(to: &address) {
        $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic in
            bind(descriptor, generic, length) == 0 ? getsockname(descriptor, generic, &length) : -1
        }
    }
    guard status == 0 else { throw TestSupportError("There is no free port.") }
    return UInt16(bigEndian: address.sin_port)
}
