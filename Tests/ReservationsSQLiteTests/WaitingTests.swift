import Foundation
import GRDB
import ReservationStoreConformance
import Reservations
import ReservationsSQLite
import Synchronization
import TestSupport
import Testing

@Suite("Waiting for another writer", .timeLimit(.minutes(2)))
struct WaitingTests {
    private static let bucket = Bucket.counted("a")

    private static func claim() -> Claim {
        Claim(
            id: .make(), holder: "ann", cart: Cart(trusted: [Line(bucket)]), ttl: .seconds(60), totalHold: .seconds(60),
            maximumLiveHolds: nil, request: nil)
    }

    /// Somebody else, as another process would, has the write lock while `body` runs.
    private static func withLockedFile(
        _ change: (inout SQLiteReservationStore.Configuration) -> Void = { _ in },
        _ body: (SQLiteHarness) async throws -> Void
    ) async throws {
        try await withStore(change) { harness in
            _ = try await harness.store.restock(StockChange(bucket: bucket, delta: 5, actor: "stock"))
            var options = Configuration()
            options.allowsUnsafeTransactions = true
            let other = try DatabaseQueue(path: harness.path, configuration: options)
            try await other.writeWithoutTransaction { try $0.beginTransaction(.immediate) }
            try await body(harness)
            try await other.writeWithoutTransaction { try $0.rollback() }
            try other.close()
            #expect(try await harness.store.claim(claim(), by: .atomic).isHeld)
        }
    }

    @Test("Who waits too long is told that others are busy, and nothing was changed")
    func busy() async throws {
        try await Self.withLockedFile({ $0.busyTimeout = .milliseconds(30) }) { harness in
            let error = await #expect(throws: StoreError.self) {
                _ = try await harness.store.claim(Self.claim(), by: .atomic)
            }
            #expect(error?.code == .busy && error?.effect == StoreError.Effect.none)
        }
    }

    @Test("A pessimistic claim waits no longer than its lock timeout")
    func lockTimeout() async throws {
        try await Self.withLockedFile { harness in
            let error = await #expect(throws: StoreError.self) {
                _ = try await harness.store.claim(Self.claim(), by: .pessimistic(lockTimeout: .milliseconds(20)))
            }
            #expect(error?.code == .busy && error?.effect == StoreError.Effect.none)
        }
    }

    @Test("How often the file's lock was asked for is told")
    func attempts() async throws {
        try await Self.withLockedFile({ $0.busyTimeout = .seconds(2) }) { harness in
            let error = await #expect(throws: StoreError.self) {
                _ = try await harness.store.attempt(Self.claim(), by: .atomic)
            }
            #expect((error?.attempts ?? 0) > 1)
        }
        try await withStore { harness in
            _ = try await harness.store.restock(StockChange(bucket: Self.bucket, delta: 1, actor: "stock"))
            #expect(try await harness.store.attempt(Self.claim(), by: .atomic).attempts == 1)
            #expect(try await harness.store.attempt(Self.claim(), by: .atomic).attempts == 1, "one that is short")
        }
    }

    /// Behind a claim that has its turn, and waits for another process.
    private static func withFullLine(
        _ change: @escaping (inout SQLiteReservationStore.Configuration) -> Void = { _ in },
        _ body: @escaping (SQLiteHarness) async throws -> Void
    ) async throws {
        try await withLockedFile(change) { harness in
            let first = Task { try await harness.store.claim(claim(), by: .atomic) }
            let second = Task { try await harness.store.claim(claim(), by: .atomic) }
            while harness.sqlite.waitingWriters < 1 { await Task.yield() }
            try await body(harness)
            for task in [first, second] {
                task.cancel()
                await #expect(throws: StoreError.self) { _ = try await task.value }
            }
        }
    }

    @Test("A pessimistic claim waits no longer than its lock timeout for others of its own process")
    func lockTimeoutInProcess() async throws {
        try await Self.withFullLine { harness in
            let claim = Self.claim()
            let error = await #expect(throws: StoreError.self) {
                _ = try await harness.store.claim(claim, by: .pessimistic(lockTimeout: .milliseconds(20)))
            }
            #expect(error?.code == .busy && error?.effect == StoreError.Effect.none)
            #expect(error?.attempts == 0)
            #expect(harness.sqlite.waitingWriters == 1, "the others wait still")
        }
    }

    @Test("A cancelled task leaves the line at once")
    func cancelledInLine() async throws {
        try await Self.withFullLine { harness in
            let task = Task { try await harness.store.claim(Self.claim(), by: .atomic) }
            while harness.sqlite.waitingWriters < 2 { await Task.yield() }
            task.cancel()
            let error = await #expect(throws: StoreError.self) { _ = try await task.value }
            #expect(error?.code == .cancelled)
            #expect(harness.sqlite.waitingWriters == 1)
        }
    }

    @Test("More than may wait are refused at once")
    func fullLine() async throws {
        try await Self.withFullLine({ $0.maximumWaiters = 1 }) { harness in
            for _ in 0..<3 {
                let error = await #expect(throws: StoreError.self) {
                    _ = try await harness.store.claim(Self.claim(), by: .atomic)
                }
                #expect(error?.code == .busy && error?.effect == StoreError.Effect.none)
                #expect(error?.attempts == 0)
            }
            #expect(harness.sqlite.waitingWriters == 1)
        }
    }

    @Test("A cancelled task waits no longer")
    func cancelled() async throws {
        try await Self.withLockedFile { harness in
            let claim = Self.claim()
            let task = Task { try await harness.store.claim(claim, by: .atomic) }
            // It is in its wait, or not yet; either way it would wait for a minute.
            await Task.yield()
            task.cancel()
            let error = await #expect(throws: StoreError.self) { _ = try await task.value }
            #expect(error?.code == .cancelled && error?.effect == StoreError.Effect.none)
            let found = try await harness.store.reservation(claim.id, holder: nil)
            #expect(found == nil)
        }
    }

    @Test("Readers do not wait")
    func readers() async throws {
        try await Self.withLockedFile { harness in
            #expect(try await harness.store.states(of: [Self.bucket]).map(\.capacity) == [5])
            #expect(try await harness.store.expire(nil, limit: 10) == [])
            #expect(try await harness.store.audit(grace: .zero).isClean)
            // One who finds too little is told without a wait, too.
            let tooMany = Claim(
                id: .make(), holder: "bob", cart: Cart(trusted: [Line(Self.bucket, quantity: 9)]), ttl: .seconds(60),
                totalHold: .seconds(60), maximumLiveHolds: nil, request: nil)
            guard case .short = try await harness.store.claim(tooMany, by: .atomic) else {
                Issue.record("It was not refused.")
                return
            }
        }
    }

    @Test("Time is that of the clock which the store was given")
    func clock() async throws {
        let clock = Mutex(Date(timeIntervalSince1970: 1_800_000_000.1234))
        let move = { (seconds: Double) in clock.withLock { $0.addTimeInterval(seconds) } }
        try await withMovedStore({ clock.withLock { $0 } }) { harness in
            _ = try await harness.store.restock(StockChange(bucket: Self.bucket, delta: 5, actor: "stock"))
            let claim = Self.claim()
            guard case .held(let held) = try await harness.store.claim(claim, by: .atomic) else {
                Issue.record("It was not held.")
                return
            }
            #expect(held.createdAt == Date(timeIntervalSince1970: 1_800_000_000.123))
            #expect(held.expiresAt == Date(timeIntervalSince1970: 1_800_000_060.123))
            move(59.9)
            #expect(try await harness.store.reservation(claim.id, holder: nil) == held)
            #expect(try await harness.store.expire(nil, limit: 9) == [])
            move(0.1)
            #expect(try await harness.store.reservation(claim.id, holder: nil)?.state == .expired)
            #expect(try await harness.store.expire(nil, limit: 9).map(\.resolvedAt) == [held.expiresAt])
        }
    }

    private func withMovedStore(
        _ now: @escaping @Sendable () -> Date, _ body: (SQLiteHarness) async throws -> Void
    ) async throws {
        try await withStore({ $0.now = now }, body)
    }
}

extension ClaimOutcome {
    var isHeld: Bool {
        if case .held = self { true } else { false }
    }
}
