import Foundation
import ReservationStoreConformance
import Reservations
import Synchronization
import Testing

/// A store whose first change goes on in the database after its connection broke, and is committed when the store has settled.
private final class LateStore: StoreWrapper {
    let memory = InMemoryReservationStore()
    let settlingTime: Duration
    /// What is answered before that.
    let early: ClaimOutcome?
    let earlyResolution: ResolutionOutcome?
    let asked = Tally()
    private let brokeAt = Mutex<ContinuousClock.Instant?>(nil)
    private let underWay = Mutex<(@Sendable () async -> Void)?>(nil)

    init(settling: Duration, early: ClaimOutcome? = nil, earlyResolution: ResolutionOutcome? = nil) {
        (settlingTime, self.early, self.earlyResolution) = (settling, early, earlyResolution)
    }

    var inner: any ReservationStore { memory }

    private func question<Answer: Sendable>(
        early: Answer?, _ body: @escaping @Sendable () async throws(StoreError) -> Answer
    ) async throws(StoreError) -> Answer {
        if asked.add() == 1 {
            underWay.withLock { $0 = { _ = try? await body() } }
            brokeAt.withLock { $0 = .now }
            throw StoreError(.unavailable, "The connection broke.", effect: .unknown)
        }
        let isOver = brokeAt.withLock { $0 }.map { ContinuousClock.now - $0 >= settlingTime } ?? true
        if !isOver, let early { return early }
        let first = underWay.withLock { first in
            defer { first = nil }
            return first
        }
        await first?()
        return try await body()
    }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await question(early: early) { [memory] () async throws(StoreError) in
            try await memory.claim(claim, by: rule)
        }
    }

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try await question(early: earlyResolution) { [memory] () async throws(StoreError) in
            try await memory.resolve(resolution)
        }
    }

    func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        try await question(early: earlyResolution) { [memory] () async throws(StoreError) in
            try await memory.extend(change)
        }
    }
}

/// A store whose first change of stock goes on in the database, under its key, after its connection broke: until the store
/// has settled, or for ever.
private final class StockUnderWay: StoreWrapper {
    let memory = InMemoryReservationStore()
    let settlingTime: Duration
    private let isEndless: Bool
    private let brokeAt = Mutex<ContinuousClock.Instant?>(nil)

    init(settling: Duration, isEndless: Bool) {
        (settlingTime, self.isEndless) = (settling, isEndless)
    }

    var inner: any ReservationStore { memory }

    func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome {
        let broke = brokeAt.withLock { broke in
            defer { broke = broke ?? .now }
            return broke
        }
        guard let broke else { throw StoreError(.unavailable, "The connection broke.", effect: .unknown) }
        if isEndless || ContinuousClock.now - broke < settlingTime { return .key(.inProgress) }
        return try await memory.restock(change)
    }
}

@Suite("After an attempt of which nobody knows what became", .timeLimit(.minutes(1)))
struct DoubtTests {
    private let shirt = Bucket.counted("shirt")
    private static let settling = Duration.seconds(2)

    enum Refusal: CaseIterable, Sendable {
        case short, holdLimit, staleFence, versionConflict

        var outcome: ClaimOutcome {
            let bucket = Bucket.counted("shirt")
            switch self {
            case .short:
                return .short([
                    Shortage(
                        bucket: bucket, requested: 1,
                        state: BucketState(bucket: bucket, capacity: 1, held: 1, sold: 0, version: 1, fence: 0),
                        heldByHolder: 0, heldByOthers: 1, nextReleaseAt: nil, asOf: Date())
                ])
            case .holdLimit: return .holdLimit(current: 10)
            case .staleFence: return .staleFence(bucket, seen: 9)
            case .versionConflict: return .versionConflict
            }
        }
    }

    @Test("A refusal that comes before the first attempt is over is not told: its hold is", arguments: Refusal.allCases)
    func lateCommit(refusal: Refusal) async throws {
        let store = LateStore(settling: Self.settling, early: refusal.outcome)
        try await store.stockShirts(1)
        let service = try ReservationService(store: store)
        let held = try await service.reserve([Line(shirt)], for: "ann", key: "click")
        #expect(held.state == .held)
        #expect(try await store.memory.reservation(held.id, holder: "ann") == held)
    }

    @Test(
        "When it would take too long to know, the answer is that nobody knows, with when to ask",
        arguments: Refusal.allCases)
    func tooLong(refusal: Refusal) async throws {
        let store = LateStore(settling: .seconds(600), early: refusal.outcome)
        try await store.stockShirts(1)
        let service = try ReservationService(store: store)
        let error = await #expect(throws: ReservationError.self) {
            try await service.reserve([Line(shirt)], for: "ann", key: "click")
        }
        #expect(error?.code == .outcomeUnknown)
        #expect((error?.retryAfter ?? .zero) > .seconds(300))
        #expect(store.asked.value == 2)
    }

    @Test("A refusal that comes after the first attempt is over is told")
    func finalRefusal() async throws {
        let store = LateStore(settling: Self.settling, early: Refusal.holdLimit.outcome)
        try await store.stockShirts(1)
        _ = try await store.memory.claim(shirtClaim(by: "bob"), by: .atomic)
        let service = try ReservationService(store: store)
        let error = await #expect(throws: ReservationError.self) {
            try await service.reserve([Line(shirt)], for: "ann", key: "click")
        }
        #expect(error?.code.name == "out-of-stock")
        #expect(error?.attempts == store.asked.value)
    }

    @Test("However often the strategy has tried, an unknown effect is asked about again")
    func roundsAreNotTries() async throws {
        let store = ScriptedStore { number, _, _ in
            if number < 8 { return .success(.versionConflict) }
            return number == 8 ? .failure(StoreError(.unavailable, "The line broke.", effect: .unknown)) : nil
        }
        try await store.stockShirts()
        let service = try ReservationService(store: store, configuration: .with(.optimistic(attempts: 8)))
        #expect(try await service.reserve([Line(shirt)], for: "ann").state == .held)
        #expect(store.asked.value == 9)
    }

    @Test("A change of stock that is still under way is waited for")
    func lateStock() async throws {
        let store = StockUnderWay(settling: Self.settling, isEndless: false)
        let service = try ReservationService(store: store)
        #expect(try await service.restock(shirt, by: 5, actor: "stock").capacity == 5)
    }

    /// Whoever gave no key cannot ask for it again: he would add twice.
    @Test(
        "A change of stock that stays under way is unknown to who gave no key",
        arguments: [Duration.zero, .seconds(600)])
    func stockUnderWay(settling: Duration) async throws {
        let service = try ReservationService(store: StockUnderWay(settling: settling, isEndless: true))
        let error = await #expect(throws: ReservationError.self) {
            try await service.restock(shirt, by: 5, actor: "stock")
        }
        #expect(error?.code == .outcomeUnknown)
        let keyed = try ReservationService(store: StockUnderWay(settling: .zero, isEndless: true))
        let told = await #expect(throws: ReservationError.self) {
            try await keyed.restock(shirt, by: 5, actor: "stock", key: "delivery")
        }
        #expect(told?.code == .idempotencyInProgress)
    }

    @Test("A confirmation that is still under way is waited for")
    func lateConfirmation() async throws {
        let store = LateStore(settling: Self.settling, earlyResolution: .notFound)
        try await store.stockShirts()
        let claim = shirtClaim()
        _ = try await store.memory.claim(claim, by: .atomic)
        let service = try ReservationService(store: store)
        #expect(try await service.confirm(claim.id, for: "ann", key: "payment").state == .confirmed)
    }

    @Test("An extension that may have been made is not told to be impossible")
    func extensionOfUnknownEffect() async throws {
        let store = LateStore(settling: .zero)
        try await store.stockShirts()
        let claim = shirtClaim()
        _ = try await store.memory.claim(claim, by: .atomic)
        let service = try ReservationService(store: store)
        let extended = try await service.extend(claim.id, for: "ann", ttl: .seconds(3_600))
        #expect(extended.expiresAt == extended.hardDeadline)
        let error = await #expect(throws: ReservationError.self) {
            try await service.extend(claim.id, for: "ann", ttl: .seconds(3_600))
        }
        #expect(error?.code.name == "extension-limit")
    }
}
