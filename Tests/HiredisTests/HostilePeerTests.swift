import Reactor
import TestSupport
import Testing

@testable import Hiredis

/// Each of these would abort the process, kill it by a signal or make it eat memory if hiredis 0.14 were left alone.
@Suite("A hostile peer", .timeLimit(.minutes(1)))
struct HostilePeerTests {
    /// A reply to one command that must end the connection, and how the command must hear of it.
    struct Poison: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: String
        let code: RedisError.Code

        init(_ description: String, _ bytes: String, _ code: RedisError.Code) {
            testDescription = description
            self.bytes = bytes
            self.code = code
        }
    }

    static let poisons = [
        Poison("an array header of half a billion", "*500000000\r\n", .replyTooLarge),
        Poison("an array header beyond an int", "*99999999999\r\n", .protocolViolation),
        Poison("more elements than allowed", "*1025\r\n", .replyTooLarge),
        Poison("a tree of small arrays", String(repeating: "*900\r\n" + integers(899), count: 7), .replyTooLarge),
        Poison("a depth bomb", String(repeating: "*1\r\n", count: 100_000), .replyTooLarge),
        Poison("a bulk length of -2", "$-2\r\n", .protocolViolation),
        Poison("an array length of -2", "*-2\r\n", .protocolViolation),
        Poison("a length that is no number", "$abc\r\n", .protocolViolation),
        Poison("a length beyond 64 bits", "$99999999999999999999\r\n", .protocolViolation),
        Poison("an integer that is none", ":12x\r\n", .protocolViolation),
        Poison("an unknown type byte", "!oops\r\n", .protocolViolation),
        Poison("a zero byte", "\0", .protocolViolation),
        Poison("an HTTP answer", "HTTP/1.1 400 Bad Request\r\n\r\n", .protocolViolation),
        Poison("a RESP3 push", ">2\r\n$1\r\na\r\n:1\r\n", .protocolViolation),
        Poison("a RESP3 map", "%1\r\n+a\r\n:1\r\n", .protocolViolation),
        Poison("a RESP3 double", ",1.5\r\n", .protocolViolation),
        Poison("a RESP3 boolean", "#t\r\n", .protocolViolation),
    ]

    static func integers(_ count: Int) -> String { String(repeating: ":1\r\n", count: count) }

    @Test("a poisonous reply ends the connection and nothing else", arguments: poisons)
    func poison(_ poison: Poison) async throws {
        try await FakePeer.with { peer in
            try peer.index == 1 ? peer.answerOnce(poison.bytes) : peer.answerOnce("+fine\r\n")
        } _: { peer in
            var configuration = testConfiguration()
            configuration.limits.totalElements = 6_000
            try await withClient(peer.url, configuration) { client in
                let error = await client.failure(of: "GET", "x")
                #expect(error?.code == poison.code, "\(error?.message ?? "no error")")
                #expect(error?.mayHaveBeenExecuted == true)
                #expect(error?.outcome == .ambiguous)
                let next = try await client.command("GET", "x")
                #expect(next == .status("fine"))
                #expect(peer.acceptedCount == 2)
            }
        }
    }

    @Test("null in both spellings, and empty arrays and strings, are replies like any other")
    func nulls() async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            for reply in ["$-1\r\n", "*-1\r\n", "*0\r\n", "$0\r\n\r\n", "*2\r\n*0\r\n*-1\r\n"] {
                _ = try peer.readCommand()
                try peer.send(reply)
            }
        } _: { peer in
            try await withClient(peer.url) { client in
                let first = try await client.command("A")
                #expect(first == .null)
                #expect(try await client.command("A") == .null)
                #expect(try await client.command("A") == .array([]))
                #expect(try await client.command("A") == .bulk([]))
                #expect(try await client.command("A") == .array([.array([]), .null]))
            }
        }
    }

    @Test(
        "a reply that nobody asked for ends the connection",
        arguments: ["+OK\r\n", ":1\r\n", "$1\r\nx\r\n", "*0\r\n", "$-1\r\n"])
    func unsolicited(_ reply: String) async throws {
        let sent = Gate()
        try await FakePeer.with { peer in
            try peer.shakeHands()
            if peer.index == 1 {
                sent.waitBlocking()
                try peer.send(reply)
                try peer.hang()
            }
            _ = try peer.readCommand()
            try peer.send("+fine\r\n")
            try peer.hang()
        } _: { peer in
            try await withClient(peer.url) { client in
                let health = await client.recordHealth()
                await client.keepConnected()
                await health.wait { $0.contains(.ready) }
                sent.open()
                let error = await health.wait { $0.contains(where: \.isBackingOff) }.compactMap(\.reason).first
                #expect(error?.code == .protocolViolation)
                let next = try await client.command("GET", "x")
                #expect(next == .status("fine"))
                #expect(peer.acceptedCount == 2)
            }
        }
    }

    @Test("a second reply in the same packet as the first does no harm to the first")
    func oneReplyTooMany() async throws {
        try await FakePeer.with { peer in
            try peer.answerOnce("+first\r\n+second\r\n")
        } _: { peer in
            try await withClient(peer.url) { client in
                let reply = try await client.command("GET", "x")
                #expect(reply == .status("first"))
                #expect(try await client.command("GET", "x") == .status("first"))
                #expect(peer.acceptedCount == 2)
            }
        }
    }

    @Test("an error that nobody asked for is the server's last word, and is passed on")
    func unsolicitedError() async throws {
        let sent = Gate()
        try await FakePeer.with { peer in
            try peer.shakeHands()
            if peer.index == 1 {
                sent.waitBlocking()
                try peer.send("-ERR max number of clients reached\r\n")
            }
            try peer.hang()
        } _: { peer in
            let configuration = testConfiguration {
                $0.backOffBase = .seconds(3_600)
                $0.backOffCeiling = .seconds(3_600)
            }
            try await withClient(peer.url, configuration) { client in
                await client.keepConnected()
                await client.waitForHealth(\.isReady)
                sent.open()
                let health = await client.waitForHealth(\.isBackingOff)
                guard case .backingOff(_, let error) = health else { return }
                #expect(error.serverError?.message == "ERR max number of clients reached")
                #expect(!error.isPermanent)
            }
        }
    }

    @Test(
        "an endless bulk or line is cut off at the limit, not buffered",
        arguments: ["$400000000\r\n", "+", "-", ":", "*", "$"])
    func endless(_ header: String) async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            try peer.send(header)
            let chunk = [UInt8](repeating: UInt8(ascii: "7"), count: 64 * 1024)
            // 50 MB, or as much of it as the client listens to.
            for _ in 0..<800 { try peer.send(chunk) }
        } _: { peer in
            try await withClient(peer.url) { client in
                let error = await client.failure(of: "GET", "x")
                #expect(error?.code == .replyTooLarge, "\(error?.message ?? "no error")")
                let (buffered, limit) = await client.withConnection {
                    ($0.bufferedBytes, RedisLimits().unparsedBytes)
                }
                #expect(buffered <= limit)
            }
        }
    }

    @Test("limits are what the configuration says: one byte less passes")
    func limitEdges() async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            while true {
                let command = try peer.readCommand()
                try peer.send(command[1].replacing("~", with: "\r\n"))
            }
        } _: { peer in
            let configuration = testConfiguration {
                $0.limits.depth = 2
                $0.limits.elements = 3
                $0.limits.totalElements = 4
                $0.limits.bulkBytes = 5
                $0.limits.lineBytes = 4
            }
            try await withClient(peer.url, configuration) { client in
                let bulk = try await client.command("X", "$5~12345~")
                #expect(bulk.string == "12345")
                #expect(try await client.command("X", "*3~:1~:2~:3~").array?.count == 3)
                #expect(try await client.command("X", "*1~*1~:1~") == .array([.array([.integer(1)])]))
                #expect(try await client.command("X", "*2~*2~:1~:2~:3~").array?.count == 2)
                for reply in ["$6~123456~", "+12345~", "-ERR x~", "*4~", "*1~*1~*1~", "*2~*3~"] {
                    #expect(await client.failure(of: "X", reply)?.code == .replyTooLarge, "\(reply)")
                }
            }
        }
    }

    @Test("a connection reset while commands are written is an error, not a signal")
    func reset() async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            if peer.index <= 20 {
                // Closes with unread bytes: what the client still writes meets a reset.
                _ = try peer.readCommand()
                peer.resetOnClose()
            } else {
                while true {
                    _ = try peer.readCommand()
                    try peer.send("+fine\r\n")
                }
            }
        } _: { peer in
            try await withClient(peer.url, testConfiguration { $0.maximumPending = 100_000 }) { client in
                let big = String(repeating: "x", count: 1 << 20)
                for _ in 0..<20 {
                    let command = RedisCommand("SET", "x", big)
                    let results = await client.pipeline([command, command, command, command], timeout: .seconds(20))
                    #expect(results.contains { if case .failure = $0 { true } else { false } })
                }
                let next = try await client.command("GET", "x")
                #expect(next == .status("fine"))
            }
        }
    }

    @Test("a half-closed connection is a lost one")
    func halfClose() async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            if peer.index == 1 {
                peer.halfClose()
                try peer.hang()
            }
            try peer.send("+fine\r\n")
        } _: { peer in
            try await withClient(peer.url) { client in
                let error = await client.failure(of: "GET", "x")
                #expect(error?.code == .connectionLost)
                #expect(error?.mayHaveBeenExecuted == true)
                let next = try await client.command("GET", "x")
                #expect(next == .status("fine"))
            }
        }
    }

    @Test("half a reply before the end is a lost connection", arguments: ["$10\r\nabc", "*2\r\n:1\r\n", "+O", ""])
    func endsInTheMiddle(_ part: String) async throws {
        try await FakePeer.with { peer in
            try peer.shakeHands()
            _ = try peer.readCommand()
            try peer.send(part)
        } _: { peer in
            try await withClient(peer.url) { client in
                let error = await client.failure(of: "GET", "x")
                #expect(error?.code == .connectionLost)
                #expect(error?.outcome == .ambiguous)
            }
        }
    }

    @Test("an error's text cannot break a log line or go on for ever")
    func errorText() async throws {
        try await FakePeer.with { peer in
            try peer.answerOnce("-OOM \u{1B}[31m\u{7} \(String(repeating: "x", count: 5_000))\r\n")
        } _: { peer in
            try await withClient(peer.url) { client in
                let error = try await client.command("SET", "x", "y").serverError
                #expect(error?.code == "OOM")
                #expect(error?.message.utf8.count == RedisServerError.maximumLength)
                #expect(error?.message.utf8.allSatisfy { (0x20...0x7E).contains($0) } == true)
            }
        }
    }
}
