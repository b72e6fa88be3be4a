import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import Synchronization
import Testing

/// A store whose claims answer what a test says, by number of the claim.
struct ScriptedStore: StoreWrapper {
    let memory = InMemoryReservationStore()
    /// `nil` lets the claim through.
    let answer: @Sendable (Int, Claim, ClaimRule) -> Result<ClaimOutcome, StoreError>?
    let asked = Tally()
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        if let answer = answer(asked.add(), claim, rule) { return try answer.get() }
        return try await inner.claim(claim, by: rule)
    }
}

func shirtClaim(_ quantity: Int = 1, by holder: String = "ann") -> Claim {
    Claim(
        id: .make(), holder: holder, cart: Cart(trusted: [Line(.counted("shirt"), quantity: quantity)]),
        ttl: .seconds(60), totalHold: .seconds(600), maximumLiveHolds: nil, request: nil)
}

extension ReservationStore {
    func stockShirts(_ quantity: Int = 5) async throws {
        _ = try await restock(StockChange(bucket: .counted("shirt"), delta: quantity, actor: "stock"))
    }
}

@Suite("Strategies", .timeLimit(.minutes(1)))
struct StrategyTests {
    @Test("Optimistic claims are tried again when others are faster, so often and no more", arguments: [1, 3, 8])
    func optimisticIsBounded(attempts: Int) async throws {
        let store = ScriptedStore { _, _, _ in .success(.versionConflict) }
        try await store.stockShirts()
        let result = await Strategy.optimistic(attempts: attempts).implementation.claim(shirtClaim(), in: store)
        #expect(result.attempts == attempts)
        #expect(store.asked.value == attempts)
        guard case .failure(let error) = result.outcome else { return #expect(Bool(false), "\(result.outcome)") }
        #expect(error.code == .busy)
        #expect(error.effect == .none)
    }

    @Test("An optimistic claim succeeds with the versions that it reads anew")
    func optimisticReadsAgain() async throws {
        let memory = ScriptedStore { number, _, rule in number < 3 ? .success(.versionConflict) : nil }
        try await memory.stockShirts()
        let result = await Strategy.optimistic().implementation.claim(shirtClaim(), in: memory)
        #expect(result.attempts == 3)
        #expect(try result.outcome.get().reservation?.state == .held)
    }

    @Test("The attempts of optimistic claims stay within bounds", arguments: [(-5, 1), (0, 1), (3, 3)])
    func optimisticBounds(asked: Int, kept: Int) async throws {
        let store = ScriptedStore { _, _, _ in .success(.versionConflict) }
        let result = await Strategy.optimistic(attempts: asked).implementation.claim(shirtClaim(), in: store)
        #expect(result.attempts == kept)
    }

    @Test("A failure that is no conflict is not tried again")
    func otherFailures() async throws {
        let store = ScriptedStore { _, _, _ in .failure(StoreError(.failed, "No.")) }
        for strategy in [Strategy.atomic, .optimistic(), .pessimistic()] {
            let result = await strategy.implementation.claim(shirtClaim(), in: store)
            #expect(result.attempts == 1)
        }
    }

    @Test(
        "A database that gives up is asked three times, and not after an unknown effect",
        arguments: [
            (StoreError.Effect.none, 3), (.unknown, 1),
        ])
    func rowRetries(effect: StoreError.Effect, attempts: Int) async throws {
        for strategy in [Strategy.atomic, .pessimistic()] {
            let store = ScriptedStore { _, _, _ in .failure(StoreError(.busy, "A deadlock.", effect: effect)) }
            let result = await strategy.implementation.claim(shirtClaim(), in: store)
            #expect(result.attempts == attempts)
            #expect(throws: StoreError.self) { try result.outcome.get() }
        }
    }

    @Test("Every strategy names its rule", arguments: TestedStrategy.allCases)
    func rules(strategy: TestedStrategy) async throws {
        let seen = Mutex<[String]>([])
        let store = ScriptedStore { _, _, rule in
            seen.withLock { $0.append(rule.word) }
            return nil
        }
        try await store.stockShirts()
        try await withRig(MemoryHarness(), strategy) { rig in
            #expect(rig.strategy.name == strategy.rawValue)
            let result = await rig.strategy.implementation.claim(shirtClaim(), in: store)
            let outcome = try result.outcome.get()
            #expect(outcome.reservation != nil)
        }
        #expect(seen.withLock { $0 } == [strategy == .locked ? "fenced" : strategy.rawValue])
    }

    @Test("A cancelled task does not wait to try again", arguments: TestedStrategy.allCases)
    func cancelled(strategy: TestedStrategy) async throws {
        try await withRig(MemoryHarness(), strategy) { rig in
            let store = ScriptedStore { _, _, _ in .failure(StoreError(.busy, "A deadlock.")) }
            try await store.stockShirts()
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return await rig.strategy.implementation.claim(shirtClaim(), in: store)
            }
            let result = await task.value
            guard case .failure(let error) = result.outcome else { return #expect(Bool(false), "\(result.outcome)") }
            #expect(error.code == .cancelled)
            #expect(result.attempts <= 1)
        }
    }
}

extension ClaimOutcome {
    var reservation: Reservation? {
        switch self {
        case .held(let reservation), .replayed(let reservation): reservation
        default: nil
        }
    }
}

extension ClaimRule {
    var word: String {
        switch self {
        case .atomic: "atomic"
        case .pessimistic: "pessimistic"
        case .optimistic: "optimistic"
        case .fenced: "fenced"
        }
    }
}
