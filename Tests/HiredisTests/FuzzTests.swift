import Reactor
import TestSupport
import Testing

@testable import Hiredis

@Suite("A fuzzed peer", .timeLimit(.minutes(2)))
struct FuzzTests {
    /// Replies of every kind, as bytes and as what they mean.
    static let replies: [(String, RedisValue)] = [
        ("+OK\r\n", .status("OK")),
        ("-NOSCRIPT No matching script.\r\n", .error(RedisServerError("NOSCRIPT No matching script."))),
        (":-42\r\n", .integer(-42)),
        ("$-1\r\n", .null),
        ("$0\r\n\r\n", .bulk([])),
        ("$6\r\nfoo\r\nb\r\n", .bulk(Array("foo\r\nb".utf8))),
        ("*-1\r\n", .null),
        ("*0\r\n", .array([])),
        (
            "*4\r\n:1\r\n$2\r\nab\r\n*2\r\n+x\r\n$-1\r\n-ERR no\r\n",
            .array([
                .integer(1), .bulk(Array("ab".utf8)), .array([.status("x"), .null]),
                .error(RedisServerError("ERR no")),
            ])
        ),
        (":9223372036854775807\r\n", .integer(.max)),
    ]

    @Test("valid replies are understood wherever the stream is split")
    func splits() async throws {
        let stream = Array(Self.replies.map(\.0).joined().utf8)
        let expected = Self.replies.map(\.1)
        try await FakePeer.with { peer in
            peer.disableDelay()
            try peer.shakeHands()
            for split in 0...stream.count {
                for _ in Self.replies { _ = try peer.readCommand() }
                try peer.send(Array(stream[..<split]))
                try peer.send(Array(stream[split...]))
            }
        } _: { peer in
            try await withClient(peer.url) { client in
                let commands = Self.replies.map { _ in RedisCommand("GET", "x") }
                for _ in 0...stream.count {
                    let results = await client.pipeline(commands, timeout: .seconds(20))
                    #expect(results.map { try? $0.get() } == expected)
                }
            }
            #expect(peer.acceptedCount == 1)
        }
    }

    @Test("valid replies are understood byte by byte")
    func singleBytes() async throws {
        let stream = Array(Self.replies.map(\.0).joined().utf8)
        try await FakePeer.with { peer in
            peer.disableDelay()
            try peer.shakeHands()
            for _ in Self.replies { _ = try peer.readCommand() }
            for byte in stream { try peer.send([byte]) }
            try peer.hang()
        } _: { peer in
            try await withClient(peer.url) { client in
                let commands = Self.replies.map { _ in RedisCommand("GET", "x") }
                let results = await client.pipeline(commands, timeout: .seconds(20))
                #expect(results.map { try? $0.get() } == Self.replies.map(\.1))
            }
        }
    }

    @Test("mutated and truncated streams end in replies or errors, never worse", arguments: 0..<8)
    func mutations(_ part: UInt64) async throws {
        let rounds = 150
        try await FakePeer.with { peer in
            try peer.shakeHands()
            for _ in Self.replies { _ = try peer.readCommand() }
            var random = SeededGenerator(seed: part * 1_000_003 + UInt64(peer.index))
            try peer.send(Self.mutate(using: &random))
        } _: { peer in
            try await withClient(peer.url) { client in
                let commands = Self.replies.map { _ in RedisCommand("GET", "x") }
                for _ in 0..<rounds {
                    let results = await client.pipeline(commands, timeout: .seconds(20))
                    #expect(results.count == commands.count)
                    let buffered = await client.withConnection { $0.bufferedBytes }
                    #expect(buffered <= RedisLimits().unparsedBytes)
                    #expect(await client.withConnection { $0.pendingCount } == 0)
                }
            }
            #expect(peer.acceptedCount > rounds / 2)
        }
    }

    /// The replies in random order and number, with some bytes changed, dropped, doubled or cut off.
    static func mutate(using random: inout SeededGenerator) -> [UInt8] {
        var bytes = (0..<Int.random(in: 1...14, using: &random)).flatMap { _ in
            Array(replies[Int.random(in: 0..<replies.count, using: &random)].0.utf8)
        }
        let alphabet = Array("+-:$*\r\n0123456789\0%~,>#=(_ab".utf8)
        for _ in 0..<Int.random(in: 0...6, using: &random) where !bytes.isEmpty {
            let index = Int.random(in: 0..<bytes.count, using: &random)
            switch Int.random(in: 0..<6, using: &random) {
            case 0: bytes[index] = UInt8.random(in: 0...255, using: &random)
            case 1, 2: bytes[index] = alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
            case 3: bytes.remove(at: index)
            case 4: bytes.insert(alphabet[Int.random(in: 0..<alphabet.count, using: &random)], at: index)
            default: bytes.removeSubrange(index...)
            }
        }
        return bytes
    }
}
