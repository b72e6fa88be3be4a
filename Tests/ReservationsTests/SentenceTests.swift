import Foundation
import Reservations
import Testing

@Suite("Sentences")
struct SentenceTests {
    typealias Shortfall = ReservationError.Shortfall

    private static func outOfStock(
        available: Int = 0, others: Int = 0, own: Int = 0, releaseIn: Duration? = nil,
        bucket: Bucket = .counted("shirt")
    ) -> ReservationError {
        ReservationError(
            .outOfStock([
                Shortfall(
                    bucket: bucket, requested: 3, available: available, heldByOthers: others, heldByHolder: own,
                    nextReleaseIn: releaseIn)
            ]), "")
    }

    static let seats = ["A1", "A2"].map { Bucket.seat("hall", $0) }

    static let errors: [(ReservationError, String, String)] = [
        (
            outOfStock(), "You asked for 3 of \"shirt\"; it is sold out.",
            "'shirt' 3개를 요청하셨으나 모두 판매되었습니다."
        ),
        (
            outOfStock(available: 2), "You asked for 3 of \"shirt\"; 2 left.",
            "'shirt' 3개를 요청하셨으나 2개만 남아 있습니다."
        ),
        (
            outOfStock(others: 5, releaseIn: .seconds(99.5)),
            "You asked for 3 of \"shirt\"; none is free. Others are holding 5, which may become free, the first in 1 min 40 s.",
            "'shirt' 3개를 요청하셨으나 지금 비어 있는 수량이 없습니다. 다른 고객이 예약 중인 5개가 빠르면 1분 40초 뒤에 풀릴 수 있습니다."
        ),
        (
            outOfStock(own: 2, bucket: .night("room", "2026-12-24")),
            "You asked for 3 of \"room\" on the night of 2026-12-24; none is free. You are holding 2 already.",
            "'room' 2026-12-24 숙박 3개를 요청하셨으나 지금 비어 있는 수량이 없습니다. 고객님이 이미 2개를 예약 중이십니다."
        ),
        (
            ReservationError(.seatUnavailable(conflicts: seats, yours: [seats[1]], alternatives: []), ""),
            "This seat is taken: A1. You are holding A2 already. Please choose again.",
            "이미 예약된 좌석입니다: A1. 고객님이 이미 예약 중인 좌석입니다: A2. 다른 좌석을 선택해 주세요."
        ),
        (
            ReservationError(
                .seatUnavailable(conflicts: seats, yours: [], alternatives: [.seat("hall", "A3")]), ""),
            "These seats are taken: A1, A2. Free near by: A3. Please choose again.",
            "이미 예약된 좌석입니다: A1, A2. 가까운 빈 좌석: A3. 다른 좌석을 선택해 주세요."
        ),
        (
            ReservationError(.busy(attempts: 3, strategy: "atomic"), "", retryAfter: .seconds(2)),
            "Many people are booking at this moment. Nothing was changed. Please try again in 2 s.",
            "지금 예약이 몰리고 있습니다. 변경된 내용은 없습니다. 2초 뒤에 다시 시도해 주세요."
        ),
        (
            ReservationError(.holdLimit(limit: 10, current: 10), ""),
            "You have 10 unconfirmed reservations, and can have 10 at most. Please confirm or cancel one first.",
            "확정하지 않은 예약이 10건 있습니다. 최대 10건까지 가능하니 먼저 확정하거나 취소해 주세요."
        ),
        (
            ReservationError(.capacityBelowCommitments(.counted("shirt"), committed: 0), ""),
            "There are not that many of \"shirt\" to take away.", "'shirt' 수량이 그만큼 남아 있지 않아 줄일 수 없습니다."
        ),
        (
            ReservationError(.capacityBelowCommitments(.counted("shirt"), committed: 7), ""),
            "7 of \"shirt\" are held or sold, so there cannot be fewer.",
            "'shirt' 수량 중 7개가 예약 또는 판매되어 그보다 줄일 수 없습니다."
        ),
    ]

    @Test("The numbers stand in the sentence, in both languages", arguments: errors)
    func numbers(error: ReservationError, english: String, korean: String) {
        #expect(error.sentence(in: .english) == english)
        #expect(error.sentence(in: .korean) == korean)
    }

    @Test("Items are called by their titles where they have one, and errors without an item stay as they are")
    func titles() {
        let titles = ["shirt": "Shirt, blue", "room": "Sea view"]
        for (error, english, korean) in Self.errors {
            let renamed = { (text: String) in
                titles.reduce(text) { text, title in
                    text.replacingOccurrences(of: "\"\(title.key)\"", with: "\"\(title.value)\"")
                        .replacingOccurrences(of: "'\(title.key)'", with: "'\(title.value)'")
                }
            }
            #expect(error.sentence(in: .english) { titles[$0] } == renamed(english))
            #expect(error.sentence(in: .korean) { titles[$0] } == renamed(korean))
        }
        let unknown = ReservationError(.unknownBucket(.seat("hall", "A1")), "")
        #expect(unknown.sentence(in: .english) { titles[$0] } == unknown.sentence(in: .english))
        #expect(unknown.sentence(in: .english) { _ in "Hall" } == "There is no seat A1 of \"Hall\" on offer.")
    }

    static let codes: [ReservationError.Code] = {
        let now = Date(timeIntervalSince1970: 0)
        let bucket = Bucket.counted("shirt")
        return [
            .outOfStock([
                Shortfall(bucket: bucket, requested: 1, available: 0, heldByOthers: 0, heldByHolder: 0)
            ]),
            .seatUnavailable(conflicts: seats, yours: [], alternatives: []), .unknownBucket(bucket),
            .busy(attempts: 1, strategy: "atomic"), .unavailable, .outcomeUnknown, .holdExpired(at: now),
            .alreadyConfirmed(at: now),
            .alreadyCancelled(at: now), .alreadyReturned(at: now), .notConfirmed, .extensionLimit(hardDeadline: now),
            .notFound, .idempotencyKeyReused, .idempotencyInProgress, .holdLimit(limit: 1, current: 1),
            .queueFull(waiting: 9), .lineClosed, .queueLimit(limit: 2, current: 2), .withdrawn, .turnMissed,
            .capacityBelowCommitments(bucket, committed: 1),
            .invalidRequest([
                .init(
                    pointer: "/lines", detail: "A reservation needs at least one line.", korean: "상품을 선택해 주세요.")
            ]), .cancelled, .closed, .misconfigured, .failed,
        ]
    }()

    @Test("Every code has a sentence of its own in each language, and a name of its own")
    func everyCode() {
        #expect(Set(Self.codes.map(\.name)).count == Self.codes.count)
        for language in ReservationError.Language.allCases {
            let sentences = Self.codes.map { ReservationError($0, "").sentence(in: language) }
            // Two that are nobody's business but the operator's sound alike.
            #expect(Set(sentences).count == Self.codes.count - 1)
            for sentence in sentences { #expect(sentence.hasSuffix("."), "\(sentence)") }
        }
        let korean = Self.codes.map { ReservationError($0, "").sentence(in: .korean) }
        for sentence in korean {
            #expect(sentence.unicodeScalars.contains { (0xAC00...0xD7A3).contains($0.value) }, "\(sentence)")
        }
    }

    @Test(
        "A buyer is told in Korean, too, what is wrong with his request",
        arguments: [
            ([], "예약할 상품을 하나 이상 선택해 주세요."),
            (
                Array(repeating: Line(.counted("shirt")), count: 51), "한 번에 50건까지 요청할 수 있는데 51건을 요청하셨습니다."
            ),
            ([Line(.counted("shirt"), quantity: 0)], "수량은 1개부터 1000개까지 가능한데 0개를 요청하셨습니다."),
            (
                [Line(.counted("shirt"), quantity: 600), Line(.counted("shirt"), quantity: 600)],
                "'shirt' 수량은 모두 합쳐 1000개까지 가능한데 1200개를 요청하셨습니다."
            ),
            ([Line(.seat("hall", "A1")), Line(.seat("hall", "A1"))], "같은 좌석을 두 번 요청하셨습니다: A1."),
            ([Line(.counted(""))], "상품 이름 항목이 비어 있습니다."),
            ([Line(.seat("hall", ""))], "좌석 번호 항목이 비어 있습니다."),
            ([Line(.night("room", "tomorrow"))], "'tomorrow' 날짜를 2026-12-24 같은 형식으로 적어 주세요."),
        ])
    func koreanFlaws(lines: [Line], sentence: String) async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        let error = await #expect(throws: ReservationError.self) { try await service.reserve(lines, for: "ann") }
        #expect(error?.sentence(in: .korean) == sentence)
        #expect(error?.sentence(in: .english).hasSuffix(".") == true)
    }

    @Test("Holders, keys and times, too")
    func otherKoreanFlaws() async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        let line = [Line(.counted("shirt"))]
        let holder = await #expect(throws: ReservationError.self) { try await service.reserve(line, for: "") }
        #expect(holder?.sentence(in: .korean) == "예약자 항목은 1바이트부터 256바이트까지 가능합니다.")
        let key = await #expect(throws: ReservationError.self) {
            try await service.reserve(line, for: "ann", key: "a\nb")
        }
        #expect(key?.sentence(in: .korean) == "요청 번호 항목에 제어 문자를 쓸 수 없습니다.")
        let ttl = await #expect(throws: ReservationError.self) {
            try await service.reserve(line, for: "ann", ttl: .zero)
        }
        #expect(ttl?.sentence(in: .korean) == "예약 시간은 10초부터 1시간까지 가능합니다.")
    }

    @Test("A flaw is written as pointer and detail")
    func flawAsJSON() throws {
        let flaw = ReservationError.Flaw(pointer: "/lines", detail: "None.", korean: "없음.")
        let data = try JSONEncoder().encode(flaw)
        let written = try JSONDecoder().decode([String: String].self, from: data)
        #expect(written == ["pointer": "/lines", "detail": "None."])
        #expect(try JSONDecoder().decode(ReservationError.Flaw.self, from: data).detail == "None.")
    }

    @Test(
        "Languages by their tag",
        arguments: [
            ("ko", ReservationError.Language.korean), ("ko-KR", .korean), ("KO_kr", .korean), ("ko-Kore-KR", .korean),
            ("en-GB", .english), ("fr", .english), ("kok", .english), ("", .english), ("*", .english),
        ])
    func tags(tag: String, language: ReservationError.Language) {
        #expect(ReservationError.Language(tag: tag) == language)
        let error = ReservationError(.notFound, "")
        #expect(error.sentence(in: tag) == error.sentence(in: language))
    }

    @Test("When to try again is spread over a quarter, and never too early")
    func jitter() {
        var generator = SystemRandomNumberGenerator()
        let waits = (0..<1_000).map { _ in RetryAdvice.jittered(.seconds(100), using: &generator) }
        #expect(waits.allSatisfy { (.seconds(100))...(.seconds(125)) ~= $0 })
        #expect(Set(waits).count > 900)
    }

    @Test(
        "Waiting is advised only when others may give back enough",
        arguments: [
            (0, 0, false), (0, 3, true), (1, 2, true), (0, 2, false), (2, 0, false),
        ])
    func advice(available: Int, others: Int, isWorthIt: Bool) {
        #expect(Self.outOfStock(available: available, others: others).isRetryable == isWorthIt)
    }
}
