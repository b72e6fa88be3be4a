import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import ReservationsPostgreSQL
import Synchronization
import TestSupport
import Testing

/// Runs `body` with a client of the shared cluster, or of another, and closes it.
func withClient(
    url: String? = nil, schema: String = "public", _ change: (inout ClientConfiguration) -> Void = { _ in },
    _ body: (PostgreSQLClient) async throws -> Void
) async throws {
    let url = if let url { url } else { try await PostgreSQLTestCluster.shared.value.url }
    var configuration = ClientConfiguration(options: try ConnectionOptions(url), schema: schema)
    change(&configuration)
    let client = try PostgreSQLClient(configuration)
    let result: Result<Void, any Error>
    do {
        result = .success(try await body(client))
    } catch {
        result = .failure(error)
    }
    await client.close()
    try result.get()
}

/// A schema name that no other test has.
func freshSchema() -> String {
    "test_\(ReservationID.make().description.split(separator: "-").joined().suffix(16))"
}

/// Runs `body` with a store in a schema of its own, and closes it.
func withStore(
    url: String? = nil, settings: [String: String] = [:], onNotice: (@Sendable (String) -> Void)? = nil,
    _ change: (inout PostgreSQLReservationStore.Configuration) -> Void = { _ in },
    _ body: (PostgreSQLReservationStore) async throws -> Void
) async throws {
    let url = if let url { url } else { try await PostgreSQLTestCluster.shared.value.url }
    var configuration = PostgreSQLReservationStore.Configuration()
    configuration.schema = freshSchema()
    change(&configuration)
    let store = try PostgreSQLReservationStore(
        url: url, configuration: configuration, settings: settings, onNotice: onNotice)
    let result: Result<Void, any Error>
    do {
        try await store.migrate()
        result = .success(try await body(store))
    } catch {
        result = .failure(error)
    }
    await store.close()
    try result.get()
}

/// A claim of shirts.
func claim(_ quantity: Int = 1, key: String? = nil, limit: Int? = nil, by holder: String = "ann") -> Claim {
    Claim(
        id: .make(), holder: holder, cart: Cart(trusted: [Line(.counted("shirt"), quantity: quantity)]),
        ttl: .seconds(60), totalHold: .seconds(600), maximumLiveHolds: limit,
        request: key.map { RequestKey(caller: holder, key: $0, operation: "reserve", fingerprint: "f") })
}

func stock(_ store: PostgreSQLReservationStore, _ quantity: Int) async throws {
    _ = try await store.restock(StockChange(bucket: .counted("shirt"), delta: quantity, actor: "test"))
}

/// Returns when so many claims wait for a row.
func expectWaiters(_ count: Int, _ store: PostgreSQLReservationStore) async throws(DatabaseError) {
    let start = ContinuousClock.now
    while ContinuousClock.now - start < .seconds(30) {
        let rows = try await store.client.query(
            "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%claim(%'")
        if rows.affected == count { return }
        await Task.yield()
    }
    Issue.record("There are not \(count) who wait.")
}

extension Result where Failure == any Error {
    init(_ body: () async throws -> Success) async {
        do {
            self = .success(try await body())
        } catch {
            self = .failure(error)
        }
    }
}

struct PostgreSQLHarness: StoreHarness {
    let postgres: PostgreSQLReservationStore

    var store: any ReservationStore { postgres }

    func age(_ id: ReservationID, by duration: Duration) async throws {
        _ = try await postgres.client.query(
            """
            UPDATE reservation SET expires_at = expires_at - $2::interval, hard_deadline = hard_deadline - $2::interval,
                created_at = created_at - $2::interval
            WHERE id = $1
            """, ["\(id)", "\(duration.components.seconds) s"])
    }

    /// Closed by whoever made it.
    func finish() async {}
}

enum TestedStrategy: String, CaseIterable, Sendable {
    case atomic, optimistic, pessimistic, locked
}

/// A rig on a store of its own, with a lock client whose clock stands still.
func withRig(_ strategy: TestedStrategy = .atomic, _ body: (Rig) async throws -> Void) async throws {
    try await withStore { store in
        let bed = try LockTestBed()
        let chosen: Strategy =
            switch strategy {
            case .atomic: .atomic
            case .optimistic: .optimistic(attempts: 100)
            case .pessimistic: .pessimistic()
            case .locked: .locked(bed.locks)
            }
        let rig = Rig(PostgreSQLHarness(postgres: store), strategy: chosen, locks: bed.locks) {
            await bed.loseLease($0, as: .expired)
        }
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(rig))
        } catch {
            result = .failure(error)
        }
        await bed.shutdown()
        try result.get()
    }
}

/// Lines that come in from another thread.
final class Notebook: Sendable {
    private let notes = Mutex<[String]>([])

    func write(_ note: String) {
        notes.withLock { $0.append(note) }
    }

    func take() -> [String] {
        notes.withLock { notes in
            defer { notes = [] }
            return notes
        }
    }
}
