import TestSupport
import Testing

@testable import RedisLocks

@Suite("Names, owners, back-off and configuration")
struct ValueTests {
    @Test(
        "Good names are their own keys",
        arguments: ["a", "seat:A12", "예약:좌석", "with space", "a:fence:b", String(repeating: "x", count: 512)])
    func goodNames(name: String) throws {
        let lockName = try LockName(name)
        #expect(lockName.bytes == Array(name.utf8))
        #expect(lockName.fenceKeyString == "{\(name)}:fence")
    }

    @Test(
        "Bad names are refused with a sentence that does not repeat control characters",
        arguments: [
            "", "a{b", "a}b", "tab\there", "nul\0", "line\n", "del\u{7F}", "c1\u{85}", "x:fence", "redis-locks:boot",
            String(repeating: "x", count: 513), String(repeating: "é", count: 257),
        ])
    func badNames(name: String) {
        let error = #expect(throws: LockError.self) { try LockName(name) }
        #expect(error?.code == .misconfigured)
        #expect(error?.message.unicodeScalars.allSatisfy { $0.value >= 0x20 } == true)
        #expect((error?.message.utf8.count ?? 0) < 400)
    }

    @Test("Names are told apart by their bytes, not by what they look like")
    func normalisation() throws {
        let composed = try LockName("caf\u{E9}")
        let decomposed = try LockName("cafe\u{301}")
        #expect("caf\u{E9}" == "cafe\u{301}", "Swift's strings merge them")
        #expect(composed != decomposed)
    }

    @Test("Owner values are 40 hexadecimal digits, fresh, and never shown")
    func owners() {
        var generator = SystemRandomNumberGenerator()
        let owners = (0..<1000).map { _ in OwnerID(using: &generator) }
        #expect(Set(owners).count == 1000)
        #expect(
            owners.allSatisfy { $0.bytes.count == 40 && $0.bytes.allSatisfy { "0123456789abcdef".utf8.contains($0) } })
        let shown = "\(owners[0])" + String(reflecting: owners[0])
        var dumped = ""
        dump(owners[0], to: &dumped)
        let secret = String(decoding: owners[0].bytes, as: UTF8.self)
        #expect(!shown.contains(secret) && !dumped.contains(secret))
    }

    @Test("Back-off grows to a second, is never 0, and never waits longer than the lock lasts")
    func backOff() {
        var random = SeededGenerator(seed: 3)
        for failures in 1...20 {
            let ceiling: Duration = min(.milliseconds(50) * (1 << min(failures - 1, 5)), .seconds(1))
            for _ in 0..<200 {
                let delay = BackOff.delay(failures: failures, hint: nil, using: &random)
                #expect(delay >= .milliseconds(1) && delay <= ceiling)
                let hinted = BackOff.delay(failures: failures, hint: .milliseconds(7), using: &random)
                #expect(hinted >= .milliseconds(1) && hinted <= .milliseconds(8))
                let unhinted = BackOff.delay(failures: failures, hint: .zero, using: &random)
                #expect(unhinted >= .milliseconds(1))
            }
        }
    }

    @Test("The defaults are sound")
    func defaults() throws {
        let configuration = RedisLocks.Configuration()
        try configuration.check(nodes: 1)
        let terms = try configuration.terms(names: [], ttl: nil, nodes: 1)
        #expect(terms.ttl == .seconds(10))
        #expect(terms.drift == .milliseconds(102))
        #expect(terms.minimumValidity == .seconds(5))
        #expect(terms.nodeTimeout == .milliseconds(500))
        #expect(terms.granularityMicroseconds == 1)
        #expect(try configuration.terms(names: [], ttl: nil, nodes: 3).granularityMicroseconds == 1_000_000)
        #expect(try configuration.terms(names: [], ttl: .milliseconds(100), nodes: 1).nodeTimeout == .milliseconds(25))
        #expect(try configuration.terms(names: [], ttl: .seconds(60), nodes: 1).nodeTimeout == .seconds(1))
    }

    @Test("What cannot work is refused, and the sentence names the option", arguments: unsoundChanges)
    func unsound(change: UnsoundChange) {
        var configuration = RedisLocks.Configuration()
        change.apply(&configuration)
        let changed = configuration
        let error = #expect(throws: LockError.self) { try changed.check(nodes: 1) }
        #expect(error?.code == .misconfigured)
        #expect(error?.message.contains(change.option) == true, "\(error?.message ?? "")")
    }

    @Test("Sets of names are checked and lose their duplicates")
    func nameSets() throws {
        let configuration = RedisLocks.Configuration()
        #expect(try configuration.names(["b", "a", "b"]).map(\.string) == ["b", "a"])
        #expect(throws: LockError.self) { try configuration.names([]) }
        #expect(throws: LockError.self) { try configuration.names((0...16).map(String.init)) }
    }

    @Test("A wait is never negative and never endless")
    func waits() {
        #expect(Wait.upTo(.seconds(-5)).budget == .zero)
        #expect(Wait.upTo(.seconds(Int64.max)).budget == .seconds(366 * 86_400))
    }

    @Test(
        "Durations read well",
        arguments: [
            (Duration.milliseconds(5), "5 ms"), (.milliseconds(1500), "1.5 s"), (.seconds(2), "2 s"),
            (.milliseconds(1050), "1.05 s"),
        ])
    func durations(duration: Duration, text: String) {
        #expect(duration.inSeconds == text)
    }
}

struct UnsoundChange: Sendable, CustomTestStringConvertible {
    let option: String
    let apply: @Sendable (inout RedisLocks.Configuration) -> Void
    var testDescription: String { option }

    init(_ option: String, _ apply: @escaping @Sendable (inout RedisLocks.Configuration) -> Void) {
        self.option = option
        self.apply = apply
    }
}

private let unsoundChanges: [UnsoundChange] = [
    UnsoundChange("ttl") { $0.ttl = .milliseconds(99) },
    UnsoundChange("ttl") { $0.ttl = .seconds(61) },
    UnsoundChange("ttl") { $0.ttl = .seconds(Int64.max) },
    UnsoundChange("ttl") { $0.ttl = .seconds(Int64.min) },
    UnsoundChange("maximumTTL") { $0.maximumTTL = .seconds(Int64.max) },
    UnsoundChange("maximumHold") { $0.maximumHold = .seconds(Int64.max) },
    UnsoundChange("driftFactor") { $0.driftFactor = -0.01 },
    UnsoundChange("driftFactor") { $0.driftFactor = .nan },
    UnsoundChange("driftFactor") { $0.driftFactor = 0.11 },
    UnsoundChange("minimumValidity") { $0.minimumValidity = .seconds(10) },
    UnsoundChange("minimumValidity") { $0.minimumValidity = .zero },
    UnsoundChange("nodeTimeout") { $0.nodeTimeout = .seconds(5) },
    UnsoundChange("nodeTimeout") { $0.nodeTimeout = .zero },
    UnsoundChange("earlyWarning") { $0.earlyWarning = .seconds(10) },
    UnsoundChange("maximumHold") { $0.maximumHold = .seconds(9) },
    UnsoundChange("counterExpiry") { $0.counterExpiry = .seconds(86_399) },
    UnsoundChange("maximumWaiters") { $0.maximumWaiters = 0 },
    UnsoundChange("maximumNamesPerLock") { $0.maximumNamesPerLock = 129 },
    UnsoundChange("connectTimeout") { $0.connectTimeout = .zero },
    UnsoundChange("clientName") { $0.clientName = "two words" },
    UnsoundChange("maximumTTL") { $0.maximumTTL = .milliseconds(50) },
    UnsoundChange("shutdownGrace") { $0.shutdownGrace = .seconds(-1) },
]
