import Reservations
import Testing

@Suite("Limits")
struct LimitTests {
    private let shirt = Bucket.counted("shirt")

    @Test(
        "What is beyond a limit is refused with its place in the request",
        arguments: [
            ([], "/lines"), (Array(repeating: Line(.counted("shirt")), count: 51), "/lines"),
            ([Line(.counted("shirt"), quantity: 0)], "/lines/0/quantity"),
            ([Line(.counted("shirt"), quantity: -1)], "/lines/0/quantity"),
            ([Line(.counted("shirt"), quantity: 1_001)], "/lines/0/quantity"),
            ([Line(.counted("a")), Line(.counted("shirt"), quantity: .max)], "/lines/1/quantity"),
            ([Line(.counted("a"), quantity: 600), Line(.counted("a"), quantity: 600)], "/lines/1/quantity"),
            ([Line(.counted("a")), Line(.counted(""))], "/lines/1/bucket"),
            ([Line(.night("room", "tomorrow"))], "/lines/0/bucket"),
            ([Line(.seat("hall", "A1")), Line(.seat("hall", "A1"))], "/lines/1"),
            ([Line(.seat("hall", "A1"), quantity: 2)], "/lines/0"),
        ])
    func lines(lines: [Line], pointer: String) async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        let error = await #expect(throws: ReservationError.self) { try await service.reserve(lines, for: "ann") }
        #expect(error?.pointers == [pointer])
        #expect(error?.isRetryable == false)
    }

    @Test("What is at a limit is not refused")
    func atTheLimit() async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        try await service.restock(shirt, by: 1_000, actor: "stock")
        let lines = [Line(shirt, quantity: 951)] + Array(repeating: Line(shirt), count: 49)
        let longest = String(repeating: "a", count: 256)
        let held = try await service.reserve(lines, for: longest, ttl: .seconds(3_600), key: longest)
        #expect(held.lines == [Line(shirt, quantity: 1_000)])
        _ = try await service.extend(held.id, for: longest, ttl: .seconds(10))
    }

    @Test("Holders, keys and actors", arguments: ["", "a\nb", "a\u{0}", "\u{7F}", String(repeating: "é", count: 129)])
    func texts(text: String) async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        let holder = await #expect(throws: ReservationError.self) {
            try await service.reserve([Line(shirt)], for: text)
        }
        #expect(holder?.pointers == ["/holder"])
        let key = await #expect(throws: ReservationError.self) {
            try await service.confirm(.make(), for: "ann", key: text)
        }
        #expect(key?.pointers == ["/key"])
        await #expect(throws: ReservationError.self) { try await service.restock(shirt, by: 1, actor: text) }
    }

    @Test("No text with a control character reaches the store", arguments: ["ann\u{0}", "a\u{1F}b", ""])
    func reading(text: String) async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        let status = await #expect(throws: ReservationError.self) { try await service.status(.make(), for: text) }
        #expect(status?.pointers == ["/holder"])
        let item = await #expect(throws: ReservationError.self) { try await service.availability(of: text) }
        #expect(item?.pointers == ["/item"])
        let last = await #expect(throws: ReservationError.self) {
            try await service.availability(of: "hall", after: .seat("hall", text))
        }
        #expect(last?.pointers == ["/after"])
        let ledger = await #expect(throws: ReservationError.self) { try await service.ledger(ofItem: text) }
        #expect(ledger?.pointers == ["/item"])
    }

    @Test("How long a hold may be asked for", arguments: [0, -5, 9, 3_601, 1_000_000])
    func holds(seconds: Int) async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        let error = await #expect(throws: ReservationError.self) {
            try await service.reserve([Line(shirt)], for: "ann", ttl: .seconds(seconds))
        }
        #expect(error?.pointers == ["/ttl"])
        let extended = await #expect(throws: ReservationError.self) {
            try await service.extend(.make(), for: "ann", ttl: .seconds(seconds))
        }
        #expect(extended?.pointers == ["/ttl"])
    }

    struct BadConfiguration: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let change: @Sendable (inout ReservationService.Configuration) -> Void
    }

    static let bad: [BadConfiguration] = [
        .init(testDescription: "no lines") { $0.limits.linesPerRequest = 0 },
        .init(testDescription: "too many lines") { $0.limits.linesPerRequest = 1_001 },
        .init(testDescription: "no quantity") { $0.limits.quantityPerLine = 0 },
        .init(testDescription: "no holds") { $0.limits.liveHoldsPerHolder = 0 },
        .init(testDescription: "minimum hold") { $0.limits.minimumHold = .milliseconds(999) },
        .init(testDescription: "maximum below minimum") { $0.limits.maximumHold = .seconds(9) },
        .init(testDescription: "maximum hold") { $0.limits.maximumHold = .seconds(31 * 86_400) },
        .init(testDescription: "total below maximum") { $0.limits.maximumTotalHold = .seconds(3_599) },
        .init(testDescription: "total hold") { $0.limits.maximumTotalHold = .seconds(367 * 86_400) },
        .init(testDescription: "text") { $0.limits.textLength = 15 },
        .init(testDescription: "hold below the minimum") { $0.hold = .seconds(9) },
        .init(testDescription: "hold above the maximum") { $0.hold = .seconds(3_601) },
        .init(testDescription: "sweep interval") { $0.sweepInterval = .milliseconds(99) },
        .init(testDescription: "slow sweeps") { $0.sweepInterval = .seconds(3_601) },
        .init(testDescription: "retention") { $0.requestRetention = .seconds(3_599) },
        .init(testDescription: "negative patience") { $0.settlingPatience = .seconds(-1) },
        .init(testDescription: "endless patience") { $0.settlingPatience = .seconds(601) },
    ]

    @Test("Configurations that make no sense are refused with a sentence", arguments: bad)
    func configurations(bad: BadConfiguration) {
        var configuration = ReservationService.Configuration()
        bad.change(&configuration)
        let error = #expect(throws: ReservationError.self) {
            try ReservationService(store: InMemoryReservationStore(), configuration: configuration)
        }
        #expect(error?.code.name == "invalid-request")
        #expect(error?.message.hasSuffix(".") == true)
    }
}

extension ReservationError {
    var pointers: [String] {
        if case .invalidRequest(let flaws) = code { flaws.map(\.pointer) } else { [] }
    }
}
