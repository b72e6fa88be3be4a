import Foundation
import GRDB
import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import ReservationsSQLite
import Synchronization
import TestSupport

/// A store on a file in a folder of its own.
struct SQLiteHarness: StoreHarness {
    let folder: String
    let sqlite: SQLiteReservationStore

    init(_ change: (inout SQLiteReservationStore.Configuration) -> Void = { _ in }) async throws {
        folder = try makeTemporaryDirectory("reservations")
        var configuration = SQLiteReservationStore.Configuration()
        // Machines that run many tests at once have slow disks.
        configuration.busyTimeout = .seconds(60)
        change(&configuration)
        sqlite = try await .open("\(folder)/test.db", configuration: configuration)
        try await sqlite.migrate()
    }

    var path: String { "\(folder)/test.db" }
    var store: any ReservationStore { sqlite }

    func age(_ id: ReservationID, by duration: Duration) async throws {
        let milliseconds = Int64(duration / .milliseconds(1))
        try await sqlite.withDatabase { db in
            try db.execute(
                sql: """
                    UPDATE reservation SET expires_at = expires_at - :by, hard_deadline = hard_deadline - :by,
                        created_at = created_at - :by WHERE id = :id
                    """, arguments: ["by": milliseconds, "id": id.uuid])
        }
    }

    func finish() async {
        await sqlite.close()
        removeRecursively(folder)
    }
}

/// A rig on the store with a strategy that comes with the module.
enum TestedStrategy: String, CaseIterable, Sendable {
    case atomic, optimistic, pessimistic, locked

    func strategy(_ locks: RedisLocks) -> Strategy {
        switch self {
        case .atomic: .atomic
        // Carts of many buyers at once: more conflicts than the default allows for.
        case .optimistic: .optimistic(attempts: 100)
        case .pessimistic: .pessimistic(lockTimeout: .seconds(60))
        case .locked: .locked(locks)
        }
    }
}

/// Makes a rig, with a lock client whose clock stands still, and throws it away afterwards.
func withRig(_ strategy: TestedStrategy = .atomic, _ body: (Rig) async throws -> Void) async throws {
    let bed = try LockTestBed()
    let harness = try await SQLiteHarness()
    let rig = Rig(harness, strategy: strategy.strategy(bed.locks), locks: bed.locks) {
        await bed.loseLease($0, as: .expired)
    }
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

func withStore(
    _ change: (inout SQLiteReservationStore.Configuration) -> Void = { _ in },
    _ body: (SQLiteHarness) async throws -> Void
) async throws {
    let harness = try await SQLiteHarness(change)
    do {
        try await body(harness)
    } catch {
        await harness.finish()
        throw error
    }
    await harness.finish()
}
