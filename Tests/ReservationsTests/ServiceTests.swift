import Foundation
import Logging
import ReservationStoreConformance
import Reservations
import ServiceLifecycle
import Synchronization
import Testing

private func code(_ body: () async throws(ReservationError) -> Void) async -> String? {
    do throws(ReservationError) {
        try await body()
        return nil
    } catch {
        return error.code.name
    }
}

@Suite("The service", .timeLimit(.minutes(1)))
struct ServiceTests {
    private let shirt = Bucket.counted("shirt")

    private func service(
        _ store: any ReservationStore = InMemoryReservationStore(), stock: Int = 5,
        _ change: (inout ReservationService.Configuration) -> Void = { _ in }
    ) async throws -> ReservationService {
        var configuration = ReservationService.Configuration()
        change(&configuration)
        let service = try ReservationService(store: store, configuration: configuration)
        if stock > 0 { try await service.restock(shirt, by: stock, actor: "stock") }
        return service
    }

    @Test("Hold, pay, confirm, return")
    func life() async throws {
        let service = try await service()
        let held = try await service.reserve([Line(shirt, quantity: 2)], for: "ann", ttl: .seconds(60), key: "click")
        #expect(held.state == .held)
        #expect(held.expiresAt.timeIntervalSince(held.createdAt) == 60)
        #expect(held.hardDeadline.timeIntervalSince(held.createdAt) == 7_200)
        #expect(try await service.status(held.id, for: "ann") == held)
        let longer = try await service.extend(held.id, for: "ann", ttl: .seconds(120))
        #expect(longer.expiresAt > held.expiresAt)
        let confirmed = try await service.confirm(held.id, for: "ann", key: "payment 1")
        #expect(confirmed.state == .confirmed)
        #expect(try await service.availability(of: "shirt").first?.sold == 2)
        #expect(try await service.giveBack(held.id, for: "ann").state == .returned)
        let ledger = try await service.ledger(ofItem: "shirt")
        #expect(ledger.map(\.kind) == [.stock, .hold, .confirm, .return])
        #expect(try await service.audit().isClean)
    }

    @Test("What cannot be is told by its code")
    func conflicts() async throws {
        let service = try await service()
        let held = try await service.reserve([Line(shirt)], for: "ann")
        #expect(
            await code { () async throws(ReservationError) in _ = try await service.giveBack(held.id, for: "ann") }
                == "not-confirmed")
        _ = try await service.confirm(held.id, for: "ann")
        #expect(
            await code { () async throws(ReservationError) in _ = try await service.cancel(held.id, for: "ann") }
                == "already-confirmed")
        _ = try await service.giveBack(held.id, for: "ann")
        #expect(
            await code { () async throws(ReservationError) in _ = try await service.confirm(held.id, for: "ann") }
                == "already-returned")
        let other = try await service.reserve([Line(shirt)], for: "ann")
        _ = try await service.cancel(other.id, for: "ann")
        #expect(
            await code { () async throws(ReservationError) in _ = try await service.extend(other.id, for: "ann") }
                == "already-cancelled")
        #expect(
            await code { () async throws(ReservationError) in _ = try await service.status(other.id, for: "bob") }
                == "not-found")
        #expect(
            await code { () async throws(ReservationError) in _ = try await service.confirm(other.id, for: "bob") }
                == "not-found")
        #expect(
            await code { () async throws(ReservationError) in
                _ = try await service.reserve([Line(.counted("?"))], for: "ann")
            } == "unknown-bucket")
    }

    @Test(
        "Capacity cannot fall below what is taken, nor a seat be two", arguments: [-6, -5, 1_000_000_000, .min, .max])
    func restocking(delta: Int) async throws {
        let service = try await service()
        _ = try await service.reserve([Line(shirt)], for: "ann")
        let name = await code { () async throws(ReservationError) in
            _ = try await service.restock(shirt, by: delta, actor: "stock")
        }
        let expected = [-6, -5].contains(delta) ? "capacity-below-commitments" : "invalid-request"
        #expect(name == expected)
        try await service.restock(.seat("hall", "1"), by: 1, actor: "stock")
        #expect(
            await code { () async throws(ReservationError) in
                _ = try await service.restock(.seat("hall", "1"), by: 1, actor: "stock")
            } == "invalid-request")
    }

    @Test("Restocking without a key is not done twice when its answer is lost")
    func restockAnswerLost() async throws {
        let memory = InMemoryReservationStore()
        let asked = Tally()
        let service = try await service(FlakyStore(memory) { asked.add() == 1 ? .answerLost : nil })
        #expect(try await service.availability(of: "shirt").first?.capacity == 5)
    }

    @Test(
        "A try that is known to have failed does not hide one that is not",
        arguments: [
            FlakyStore.Break.busy, .unavailable,
        ])
    func unknownStaysUnknown(later: FlakyStore.Break) async throws {
        let memory = InMemoryReservationStore()
        let asked = Tally()
        let setUp = try await service(memory)
        let held = try await setUp.reserve([Line(shirt)], for: "ann")
        let flaky = FlakyStore(memory) { asked.add() == 1 ? .answerLost : later }
        let service = try ReservationService(store: flaky)
        #expect(
            await code { () async throws(ReservationError) in _ = try await service.reserve([Line(shirt)], for: "bob") }
                == "outcome-unknown")
        #expect(try await memory.states(of: [shirt]).first?.held == 2)
        let again = try ReservationService(store: FlakyStore(memory) { asked.add() % 5 == 1 ? .answerLost : later })
        _ = asked.add(5 - asked.value % 5)
        #expect(
            await code { () async throws(ReservationError) in _ = try await again.confirm(held.id, for: "ann") }
                == "outcome-unknown")
        #expect(try await setUp.status(held.id, for: "ann").state == .confirmed)
    }

    @Test("A cancelled request says so, and has done nothing")
    func cancelled() async throws {
        let memory = InMemoryReservationStore()
        let service = try await service(memory)
        let task = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return await code { () async throws(ReservationError) in
                _ = try await service.reserve([Line(shirt)], for: "ann")
            }
        }
        #expect(await task.value == "cancelled")
        #expect(try await memory.states(of: [shirt]).first?.held == 0)
    }

    @Test(
        "Errors of the store are told by code",
        arguments: [
            (StoreError.Code.busy, "busy", true), (.unavailable, "unavailable", true),
            (.refusedByConstraint, "failed", false),
            (.misconfigured, "misconfigured", false), (.cancelled, "cancelled", false), (.closed, "closed", false),
            (.failed, "failed", false),
        ])
    func storeErrors(code: StoreError.Code, name: String, isRetryable: Bool) async throws {
        let store = ScriptedStore { _, _, _ in .failure(StoreError(code, "A sentence.")) }
        let service = try await service(store)
        let error = await #expect(throws: ReservationError.self) {
            try await service.reserve([Line(shirt)], for: "ann")
        }
        #expect(error?.code.name == name)
        #expect(error?.isRetryable == isRetryable)
        #expect((error?.retryAfter != nil) == isRetryable)
        #expect(error?.message == "A sentence.")
    }

    @Test("Each item has its strategy; a cart goes by its first bucket")
    func strategyByItem() async throws {
        let seen = Mutex<[String]>([])
        let store = ScriptedStore { _, _, rule in
            seen.withLock { $0.append(rule.word) }
            return nil
        }
        let service = try await service(store) { $0.strategies = ["a": .optimistic(), "hot": .pessimistic()] }
        for item in ["a", "hot"] { try await service.restock(.counted(item), by: 9, actor: "stock") }
        _ = try await service.reserve([Line(.counted("hot"))], for: "ann")
        _ = try await service.reserve([Line(.counted("hot")), Line(.counted("a"))], for: "ann")
        _ = try await service.reserve([Line(shirt)], for: "ann")
        #expect(seen.withLock { $0 } == ["pessimistic", "optimistic", "atomic"])
    }

    @Test("run() ends holds whose time is up, forgets old keys, and outlives a store that is away")
    func running() async throws {
        let clock = Mutex(Date())
        let memory = InMemoryReservationStore(now: { clock.withLock { $0 } })
        let asked = Tally()
        let (swept, forgotten) = (Gate(), Gate())
        var faults = InMemoryReservationStore.Faults()
        faults.before = { method in
            method == .expire && asked.add() == 1 ? StoreError(.unavailable, "Away.") : nil
        }
        faults.after = { method in
            // The round after the one that failed.
            if method == .expire, asked.value > 2 { swept.open() }
            if method == .forget { forgotten.open() }
            return nil
        }
        let service = try await service(memory) { $0.sweepInterval = .milliseconds(100) }
        let held = try await service.reserve([Line(shirt)], for: "ann", key: "click")
        clock.withLock { $0 += 90_000 }
        memory.set(faults)
        let running = Task { try await service.run() }
        await swept.wait()
        running.cancel()
        try await running.value
        #expect(try await memory.states(of: [shirt]).first?.held == 0)
        #expect(try await memory.reservation(held.id, holder: nil)?.state == .expired)
    }
}

extension ServiceTests {
    @Test("A sweep goes on until nothing is due")
    func sweeping() async throws {
        let clock = Mutex(Date())
        let memory = InMemoryReservationStore(now: { clock.withLock { $0 } })
        let service = try await service(memory, stock: 1_000) { $0.limits.liveHoldsPerHolder = nil }
        for _ in 0..<450 { _ = try await service.reserve([Line(shirt)], for: "ann") }
        #expect(try await service.sweep() == 0)
        clock.withLock { $0 += 301 }
        #expect(try await service.sweep() == 450)
        #expect(try await service.audit().isClean)
    }

    @Test("An old answer is forgotten by run() in its first round, a young one is not")
    func forgetting() async throws {
        let clock = Mutex(Date())
        let memory = InMemoryReservationStore(now: { clock.withLock { $0 } })
        let forgotten = Gate()
        var faults = InMemoryReservationStore.Faults()
        faults.after = { method in
            if method == .forget { forgotten.open() }
            return nil
        }
        let service = try await service(memory)
        let first = try await service.reserve([Line(shirt)], for: "ann", key: "old")
        clock.withLock { $0 += 86_401 }
        let second = try await service.reserve([Line(shirt)], for: "ann", key: "young")
        memory.set(faults)
        let running = Task { try await service.run() }
        await forgotten.wait()
        running.cancel()
        try await running.value
        #expect(try await service.reserve([Line(shirt)], for: "ann", key: "young").id == second.id)
        #expect(try await service.reserve([Line(shirt)], for: "ann", key: "old").id != first.id)
    }

    @Test("A key remembers the request, not what the words of it would look like")
    func keys() async throws {
        let service = try await service()
        for bucket in [Bucket.seat("hall", "A1"), .counted("hall seat A1")] {
            try await service.restock(bucket, by: 1, actor: "stock")
        }
        let first = try await service.reserve([Line(.seat("hall", "A1"))], for: "ann", key: "click")
        #expect(
            await code { () async throws(ReservationError) in
                _ = try await service.reserve([Line(.counted("hall seat A1"))], for: "ann", key: "click")
            } == "idempotency-key-reused")
        #expect(
            await code { () async throws(ReservationError) in
                _ = try await service.reserve([Line(.seat("hall", "A1"))], for: "ann", ttl: .seconds(60), key: "click")
            } == "idempotency-key-reused")
        #expect(
            await code { () async throws(ReservationError) in
                _ = try await service.confirm(first.id, for: "ann", key: "click")
            } == "idempotency-key-reused")
        #expect(try await service.reserve([Line(.seat("hall", "A1"))], for: "ann", key: "click") == first)
    }

    @Test("The end of the service group ends run()")
    func gracefulShutdown() async throws {
        let memory = InMemoryReservationStore()
        let swept = Gate()
        var faults = InMemoryReservationStore.Faults()
        faults.after = { method in
            if method == .expire { swept.open() }
            return nil
        }
        memory.set(faults)
        let service = try await service(memory, stock: 0)
        let group = ServiceGroup(services: [service], logger: Logger(label: "test"))
        let running = Task { try await group.run() }
        await swept.wait()
        await group.triggerGracefulShutdown()
        await #expect(throws: Never.self) { try await running.value }
    }

    @Test("The error carries how often it was tried")
    func attempts() async throws {
        let store = ScriptedStore { _, _, _ in .success(.versionConflict) }
        let service = try await service(store) { $0.strategy = .optimistic(attempts: 4) }
        let error = await #expect(throws: ReservationError.self) {
            try await service.reserve([Line(shirt)], for: "ann")
        }
        #expect(error?.code == .busy(attempts: 4, strategy: "optimistic"))
        #expect(error?.attempts == 4)
    }
}
