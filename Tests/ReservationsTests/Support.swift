import Foundation
import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import Synchronization

/// The in-memory store, or one that stands before it.
struct MemoryHarness: StoreHarness {
    let memory = InMemoryReservationStore()
    let store: any ReservationStore

    init(_ before: (InMemoryReservationStore) -> any ReservationStore = { $0 }) {
        store = before(memory)
    }

    func age(_ id: ReservationID, by duration: Duration) async throws {
        try memory.withBook { book, _ in
            guard let old = book.reservations[id] else { return }
            let seconds = -(duration / .seconds(1))
            book.reservations[id] = Reservation(
                id: old.id, holder: old.holder, lines: old.lines, state: old.state,
                expiresAt: old.expiresAt.addingTimeInterval(seconds),
                hardDeadline: old.hardDeadline.addingTimeInterval(seconds),
                createdAt: old.createdAt.addingTimeInterval(seconds), resolvedAt: old.resolvedAt)
        }
    }

    func finish() async {
        await store.close()
    }
}

/// A rig on the store with a strategy that comes with the module.
enum TestedStrategy: String, CaseIterable, Sendable {
    case atomic, optimistic, pessimistic, locked
}

/// Makes a rig, with a lock client whose clock stands still, and throws it away afterwards.
func withRig(
    _ harness: MemoryHarness = MemoryHarness(), _ make: (LockTestBed) -> Strategy,
    _ body: (Rig) async throws -> Void
) async throws {
    let bed = try LockTestBed()
    let rig = Rig(harness, strategy: make(bed), locks: bed.locks) { await bed.loseLease($0, as: .expired) }
    let result: Result<Void, any Error>
    do {
        result = .success(try await body(rig))
    } catch {
        result = .failure(error)
    }
    await bed.shutdown()
    await harness.finish()
    try result.get()
}

func withRig(
    _ harness: MemoryHarness = MemoryHarness(), _ strategy: TestedStrategy = .atomic, _ body: (Rig) async throws -> Void
) async throws {
    try await withRig(
        harness,
        { bed in
            switch strategy {
            case .atomic: .atomic
            // Carts of many buyers at once: more conflicts than the default allows for.
            case .optimistic: .optimistic(attempts: 100)
            case .pessimistic: .pessimistic()
            case .locked: .locked(bed.locks)
            }
        }, body)
}
