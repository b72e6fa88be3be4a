import TestSupport
import Testing

@testable import Hiredis

@Suite("Commands, scripts, errors and back-off")
struct ValueTests {
    @Test(
        "SHA-1 matches the standard's vectors",
        arguments: [
            ("", "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            ("abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (
                "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
                "84983e441c3bd26ebaae4aa1f95129e5e54670f1"
            ),
            (String(repeating: "a", count: 1_000), "291e9a6c66994949b57ba5e650361e98fc36b1ba"),
            ("return 1", "e0e1f9fabfc9d4800c877a703b823ac0578ff8db"),
        ])
    func sha1(_ text: String, _ digest: String) {
        #expect(SHA1.hexadecimalDigest(of: Array(text.utf8)) == digest)
    }

    @Test("SHA-1 pads messages of every length around a block", arguments: [55, 56, 57, 63, 64, 65, 119, 120])
    func sha1Padding(_ length: Int) {
        let digest = SHA1.digest(of: [UInt8](repeating: 0x61, count: length))
        #expect(digest.count == 20)
        #expect(digest != SHA1.digest(of: [UInt8](repeating: 0x61, count: length + 1)))
    }

    @Test("a command shows its verb and nothing else, however it is printed")
    func redaction() {
        let command = RedisCommand("AUTH", "worker", "geheim")
        var dumped = ""
        dump(command, to: &dumped)
        for text in ["\(command)", String(reflecting: command), dumped, "\([command])"] {
            #expect(!text.contains("geheim") && !text.contains("worker"), "\(text)")
        }
        #expect(command.name == "AUTH")
        #expect(command.count == 3)
    }

    @Test("arguments keep their borders, empty ones too")
    func arguments() {
        var command = RedisCommand(verb: "SET")
        command.append("")
        command.append(42)
        command.append(bytes: [0, 13, 10])
        #expect((0..<4).map { Array(command.argument($0)) } == [Array("SET".utf8), [], Array("42".utf8), [0, 13, 10]])
    }

    @Test(
        "commands that would change what replies mean are known in any case",
        arguments: [
            ["SUBSCRIBE", "x"], ["psubscribe", "x"], ["Monitor"], ["HELLO", "3"], ["quit"], ["RESET"], ["SYNC"],
            ["client", "REPLY", "off"],
        ])
    func changesReplies(_ words: [String]) {
        #expect(RedisCommand(arguments: words.map { Array($0.utf8) }).changesReplies)
    }

    @Test(
        "and others are not taken for them",
        arguments: [
            ["SET", "x", "y"], ["PUBLISH", "x", "y"], ["CLIENT", "INFO"], ["CLIENT"], ["RESTORE"], ["HGET"], [""],
        ])
    func keepsReplies(_ words: [String]) {
        #expect(!RedisCommand(arguments: words.map { Array($0.utf8) }).changesReplies)
    }

    /// The rows of the error table that a single node can reply with, and a few more.
    static let errorTable: [(String, RedisOutcome)] = [
        ("MOVED 1 a:1", .notApplied), ("ASK 1 a:1", .notApplied), ("TRYAGAIN x", .notApplied),
        ("CLUSTERDOWN x", .notApplied), ("READONLY You can't write", .notApplied), ("MASTERDOWN x", .notApplied),
        ("LOADING x", .notApplied), ("NOREPLICAS x", .notApplied), ("MISCONF x", .notApplied),
        ("OOM command not allowed", .notApplied), ("BUSY x", .notApplied), ("NOSCRIPT x", .notApplied),
        ("ERR max number of clients reached", .notApplied), ("CROSSSLOT x", .misconfigured),
        ("NOAUTH x", .misconfigured), ("WRONGPASS x", .misconfigured), ("NOPERM x", .misconfigured),
        ("DENIED x", .misconfigured), ("WRONGTYPE x", .misconfigured),
        ("EXHAUSTED fencing counter", .misconfigured),
        ("CORRUPT fencing counter", .misconfigured), ("NOPROTO x", .misconfigured), ("EXECABORT x", .misconfigured),
        ("ERR unknown command 'WAITAOF'", .misconfigured),
        ("ERR The user executing the script can't run this command", .misconfigured),
        ("ERR ACL failure in script: no permissions", .misconfigured), ("UNBLOCKED x", .ambiguous),
        ("ERR something else", .ambiguous), ("NEWWORD x", .ambiguous), ("", .ambiguous),
    ]

    @Test("each error word has the class of the error table", arguments: errorTable)
    func outcomes(_ line: String, _ outcome: RedisOutcome) {
        #expect(RedisServerError(line).outcome == outcome)
    }

    @Test("an error that was sent is ambiguous whatever it is; one that was not is not")
    func errorOutcomes() {
        for code in [RedisError.Code.connectionLost, .timedOut, .closed, .cancelled, .protocolViolation] {
            #expect(RedisError(code, "x").told(sent: true).outcome == .ambiguous)
            #expect(RedisError(code, "x").told(sent: false).outcome == .notApplied)
        }
        #expect(RedisError(.authenticationFailed, "x").outcome == .misconfigured)
    }

    @Test("values convert to what they spell, and to nothing else")
    func conversions() {
        #expect(RedisValue.bulk(Array("17".utf8)).integer == 17)
        #expect(RedisValue.integer(-1).integer == -1)
        #expect(RedisValue.bulk(Array("17x".utf8)).integer == nil)
        #expect(RedisValue.null.string == nil && RedisValue.null.isNull)
        #expect(RedisValue.integer(1).string == nil)
        #expect(RedisValue.array([.null]).array == [.null])
        #expect(RedisValue.status("OK").array == nil)
    }

    @Test("the back-off doubles up to its ceiling, with full jitter, and starts over when reset")
    func backOff() {
        var random = SeededGenerator(seed: 7)
        var backOff = BackOff(base: .milliseconds(50), ceiling: .seconds(2))
        var bound = Duration.milliseconds(50)
        var longest = Duration.zero
        for _ in 0..<2_000 {
            let wait = backOff.next(using: &random)
            #expect(wait >= .zero && wait <= bound)
            longest = max(longest, wait)
            bound = min(bound * 2, .seconds(2))
        }
        #expect(longest > .milliseconds(1_900), "full jitter reaches up to the ceiling")
        backOff.reset()
        #expect(backOff.next(using: &random) <= .milliseconds(50))
    }

    @Test("a configuration that makes no sense is refused with a sentence that names the setting")
    func configuration() throws {
        for (name, change) in [
            ("connectTimeout", { $0.connectTimeout = .zero }), ("backOffBase", { $0.backOffBase = .zero }),
            ("backOffCeiling", { $0.backOffCeiling = .milliseconds(1) }), ("stallBound", { $0.stallBound = .zero }),
            ("maximumPending", { $0.maximumPending = 0 }), ("clientName", { $0.clientName = "a b" }),
        ] as [(String, (inout RedisConfiguration) -> Void)] {
            var configuration = RedisConfiguration()
            change(&configuration)
            let error = #expect(throws: RedisError.self) { try configuration.validate() }
            #expect(error?.message.contains(name) == true)
        }
    }
}
