import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import Synchronization
import Testing

@Suite("Reserving under distributed locks", .timeLimit(.minutes(1)))
struct LockedStrategyTests {
    private func claim(
        _ bed: LockTestBed, in store: any ReservationStore, _ options: Strategy.LockOptions = .init(),
        by holder: String = "ann"
    ) async throws -> StrategyResult {
        let strategy = Strategy.locked(bed.locks, options: options).implementation
        return try await bed.advanceUntilDone { await strategy.claim(shirtClaim(by: holder), in: store) }
    }

    @Test("The store gets the lease's token, and the lock is free afterwards")
    func token() async throws {
        try await LockTestBed.with { bed in
            let store = InMemoryReservationStore()
            try await store.stockShirts()
            let result = try await claim(bed, in: store)
            #expect(try result.outcome.get().reservation?.state == .held)
            #expect(!result.fellBack)
            #expect(try await store.states(of: [.counted("shirt")]).first?.fence == bed.nodes[0].fence(of: "rsv:shirt"))
            #expect(!bed.nodes[0].isHeld("rsv:shirt"))
        }
    }

    @Test("Redis is away and the policy is to fail: nothing is written, and the buyer may come again")
    func failClosed() async throws {
        try await LockTestBed.with { bed in
            let store = InMemoryReservationStore()
            try await store.stockShirts()
            bed.nodes[0].inject(.unreachable)
            var options = Strategy.LockOptions()
            options.wait = .upTo(.seconds(1))
            let service = try ReservationService(
                store: store, configuration: .with(.locked(bed.locks, options: options)))
            let error = try await bed.advanceUntilDone {
                await #expect(throws: ReservationError.self) {
                    try await service.reserve([Line(.counted("shirt"))], for: "ann")
                }
            }
            #expect(error?.code == .unavailable)
            #expect(error?.attempts == 0)
            #expect(error?.isRetryable == true)
            #expect(error?.retryAfter != nil)
            #expect(try await store.states(of: [.counted("shirt")]).first?.held == 0)
        }
    }

    @Test("Redis is away and the policy is to go on: the row decides, and the result says so")
    func fallback() async throws {
        try await LockTestBed.with { bed in
            let store = InMemoryReservationStore()
            try await store.stockShirts(1)
            bed.nodes[0].inject(.unreachable)
            var options = Strategy.LockOptions()
            options.wait = .upTo(.seconds(1))
            options.whenUnavailable = .fallback
            let first = try await claim(bed, in: store, options)
            #expect(first.fellBack)
            #expect(try first.outcome.get().reservation != nil)
            let second = try await claim(bed, in: store, options, by: "bob")
            #expect(second.fellBack)
            guard case .success(.short) = second.outcome else { return #expect(Bool(false), "\(second.outcome)") }
        }
    }

    @Test("Somebody else has the lock for too long: busy, without having asked the store, whatever the policy")
    func waitTimesOut() async throws {
        try await LockTestBed.with { bed in
            let store = ScriptedStore { _, _, _ in nil }
            bed.hold("rsv:shirt", for: .seconds(60))
            var options = Strategy.LockOptions()
            options.wait = .upTo(.seconds(2))
            options.whenUnavailable = .fallback
            let result = try await claim(bed, in: store, options)
            guard case .failure(let error) = result.outcome else { return #expect(Bool(false), "\(result.outcome)") }
            #expect(error.code == .busy)
            #expect(error.effect == .none)
            #expect(store.asked.value == 0)
            #expect(result.attempts == 0)
            #expect(!result.fellBack)
        }
    }

    @Test("A stale fence is dropped and counted; after three the buyer is told to come again")
    func staleFences() async throws {
        try await LockTestBed.with { bed in
            let store = ScriptedStore { _, claim, _ in .success(.staleFence(claim.cart.buckets[0], seen: 99)) }
            let result = try await claim(bed, in: store)
            #expect(result.staleFences == 3)
            #expect(result.attempts == 3)
            guard case .success(.staleFence) = result.outcome else { return #expect(Bool(false), "\(result.outcome)") }
            let tokens = Mutex<[Int64]>([])
            let once = ScriptedStore { number, claim, rule in
                if case .fenced(let token) = rule { tokens.withLock { $0.append(token) } }
                return number == 1 ? .success(.staleFence(claim.cart.buckets[0], seen: 99)) : nil
            }
            try await once.stockShirts()
            let second = try await claim(bed, in: once)
            #expect(second.staleFences == 1)
            #expect(try second.outcome.get().reservation != nil)
            let seen = tokens.withLock { $0 }
            #expect(seen.count == 2 && seen[0] < seen[1], "the second try has a lease of its own: \(seen)")
        }
    }

    @Test(
        "The lease is lost while the statement is under way: what the store answers counts",
        arguments: [
            LockTestBed.Loss.taken, .expired,
        ])
    func leaseLost(loss: LockTestBed.Loss) async throws {
        let bed = try LockTestBed()
        let memory = InMemoryReservationStore()
        try await memory.stockShirts(1)
        let (arrived, resume) = (Gate(), Gate())
        let store = PausedStore(inner: memory, arrived: arrived, resume: resume)
        let strategy = Strategy.locked(bed.locks).implementation
        let task = Task { await strategy.claim(shirtClaim(), in: store) }
        await arrived.wait()
        await bed.loseLease("rsv:shirt", as: loss)
        resume.open()
        let result = await task.value
        #expect(try result.outcome.get().reservation?.state == .held)
        #expect(try await memory.states(of: [.counted("shirt")]).first?.held == 1)
        #expect(try await memory.audit(grace: .zero).isClean)
        await bed.shutdown()
    }

    @Test("The loss of the lease cancels the statement: not the caller's cancellation, and tried again by the service")
    func lossCancels() async throws {
        let bed = try LockTestBed()
        let store = ScriptedStore { number, _, _ in
            number == 1 ? .failure(StoreError(.cancelled, "Cancelled by its task.", effect: .unknown)) : nil
        }
        try await store.stockShirts(1)
        let service = try ReservationService(store: store, configuration: .with(.locked(bed.locks)))
        let reservation = try await service.reserve([Line(.counted("shirt"))], for: "ann")
        #expect(reservation.state == .held)
        #expect(store.asked.value == 2)
        await bed.shutdown()
    }

    @Test("Whose statement the loss of the lease has cancelled is told to come again, not that he cancelled")
    func lossIsNoCancellation() async throws {
        try await LockTestBed.with { bed in
            let store = ScriptedStore { _, _, _ in .failure(StoreError(.cancelled, "Cancelled by its task.")) }
            let result = try await claim(bed, in: store)
            guard case .failure(let error) = result.outcome else { return #expect(Bool(false), "\(result.outcome)") }
            #expect(error.code == .busy)
            #expect(error.effect == .none)
        }
    }

    @Test("A buyer who walks away while he waits for the lock is not served by the fallback")
    func cancelledWhileWaiting() async throws {
        let bed = try LockTestBed()
        let store = ScriptedStore { _, _, _ in nil }
        try await store.stockShirts()
        bed.hold("rsv:shirt")
        var options = Strategy.LockOptions()
        options.whenUnavailable = .fallback
        let strategy = Strategy.locked(bed.locks, options: options).implementation
        let task = Task { await strategy.claim(shirtClaim(), in: store) }
        while bed.nodes[0].requestCount(.acquire) == 0 { await Task.yield() }
        task.cancel()
        let result = await task.value
        guard case .failure(let error) = result.outcome else { return #expect(Bool(false), "\(result.outcome)") }
        #expect(error.code == .cancelled)
        #expect(!result.fellBack)
        #expect(store.asked.value == 0)
        await bed.shutdown()
    }

    @Test("A cart needs one lock for each bucket, named without its holder")
    func names() async throws {
        try await LockTestBed.with { bed in
            let memory = InMemoryReservationStore()
            let buckets: [Bucket] = [.counted("shirt"), .seat("hall", "A1"), .night("room", "2026-12-24")]
            for bucket in buckets {
                _ = try await memory.restock(StockChange(bucket: bucket, delta: 1, actor: "stock"))
            }
            let held = Mutex<[Bool]>([])
            let store = ScriptedStore { _, _, _ in
                held.withLock {
                    $0 = ["rsv:shirt", "rsv:hall/seat/A1", "rsv:room/night/2026-12-24"].map(bed.nodes[0].isHeld)
                }
                return .success(.versionConflict)
            }
            let claim = Claim(
                id: .make(), holder: "ann", cart: Cart(trusted: buckets.map { Line($0) }), ttl: .seconds(60),
                totalHold: .seconds(60), maximumLiveHolds: nil, request: nil)
            let strategy = Strategy.locked(bed.locks).implementation
            _ = try await bed.advanceUntilDone { await strategy.claim(claim, in: store) }
            #expect(held.withLock { $0 } == [true, true, true])
        }
    }
}

/// Holds up its first claim, which goes on whatever becomes of its task.
struct PausedStore: StoreWrapper {
    let inner: any ReservationStore
    let arrived: Gate
    let resume: Gate

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        arrived.open()
        await resume.wait()
        let result = await Task.detached { [inner] in
            do throws(StoreError) {
                return Result<ClaimOutcome, StoreError>.success(try await inner.claim(claim, by: rule))
            } catch {
                return .failure(error)
            }
        }.value
        return try result.get()
    }
}

extension ReservationService.Configuration {
    static func with(_ strategy: Strategy) -> Self {
        var configuration = Self()
        configuration.strategy = strategy
        return configuration
    }
}
