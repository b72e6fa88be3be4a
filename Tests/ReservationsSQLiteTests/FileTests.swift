import Foundation
import GRDB
import ReservationStoreConformance
import Reservations
import ReservationsSQLite
import TestSupport
import Testing

@Suite("The file of the SQLite store", .timeLimit(.minutes(2)))
struct FileTests {
    private static func refusal(
        _ path: String, _ configuration: SQLiteReservationStore.Configuration = .init(), migrate: Bool = false,
        _ body: (SQLiteReservationStore) async throws(StoreError) -> Void = { _ in }
    ) async -> StoreError? {
        do throws(StoreError) {
            let store = try await SQLiteReservationStore.open(path, configuration: configuration)
            let result: Result<Void, StoreError>
            do throws(StoreError) {
                if migrate { try await store.migrate() }
                result = .success(try await body(store))
            } catch {
                result = .failure(error)
            }
            await store.close()
            try result.get()
            return nil
        } catch {
            return error
        }
    }

    private static func expectMisconfigured(_ error: StoreError?, _ advice: String) {
        #expect(error?.code == .misconfigured)
        #expect(error?.effect == StoreError.Effect.none)
        #expect(error?.message.contains(advice) == true, "\(error?.message ?? "no error")")
    }

    @Test("What was written survives power: WAL, a full sync with every commit, foreign keys")
    func pragmas() async throws {
        try await withStore { harness in
            let found = try await harness.sqlite.withDatabase { db in
                try ["journal_mode", "synchronous", "foreign_keys"].map {
                    try String.fetchOne(db, sql: "PRAGMA \($0)")
                }
            }
            #expect(found == ["wal", "2", "1"])
        }
    }

    @Test("A file that is no database")
    func noDatabase() async throws {
        try await withTemporaryDirectory { folder in
            let text = String(repeating: "No database, but a letter. ", count: 200)
            try text.write(toFile: "\(folder)/letter", atomically: true, encoding: .utf8)
            Self.expectMisconfigured(await Self.refusal("\(folder)/letter"), "no SQLite database")
            #expect(try String(contentsOfFile: "\(folder)/letter", encoding: .utf8) == text)
        }
    }

    @Test("A folder that is not there, a folder in the file's place, no path")
    func noFile() async throws {
        try await withTemporaryDirectory { folder in
            Self.expectMisconfigured(await Self.refusal("\(folder)/nowhere/test.db"), "its folder must exist")
            Self.expectMisconfigured(await Self.refusal(folder), "cannot be opened")
            Self.expectMisconfigured(await Self.refusal(":memory:"), "A file is needed")
        }
    }

    @Test("Settings that make no sense")
    func settings() async throws {
        var impatient = SQLiteReservationStore.Configuration()
        impatient.busyTimeout = .zero
        Self.expectMisconfigured(await Self.refusal("/nowhere/at/all", impatient), "busyTimeout")
        var blind = SQLiteReservationStore.Configuration()
        blind.maximumReaders = 0
        Self.expectMisconfigured(await Self.refusal("/nowhere/at/all", blind), "maximumReaders")
        var crowded = SQLiteReservationStore.Configuration()
        crowded.maximumWaiters = -1
        Self.expectMisconfigured(await Self.refusal("/nowhere/at/all", crowded), "maximumWaiters")
    }

    @Test("A file that this process may not write to")
    func readOnly() async throws {
        try await withTemporaryDirectory { folder in
            // Everybody may look, nobody may write; the worker is nobody.
            let path = "\(folder)/test.db"
            let store = try await SQLiteReservationStore.open(path)
            try await store.migrate()
            await store.close()
            chmod(folder, 0o755)
            chmod(path, 0o444)
            let old = try await WorkerProcess.run("open", path, "nobody")
            #expect(old.hasPrefix("misconfigured: "), "\(old)")
            #expect(old.contains("to write to"), "\(old)")
            let new = try await WorkerProcess.run("open", "\(folder)/new.db", "nobody")
            #expect(new.hasPrefix("misconfigured: The database cannot be opened: its folder must exist"), "\(new)")
        }
    }

    @Test("Without a schema, with a newer one, with somebody else's tables")
    func schemas() async throws {
        try await withTemporaryDirectory { folder in
            let ask = { (store: SQLiteReservationStore) async throws(StoreError) in
                _ = try await store.states(of: [.counted("a")])
            }
            Self.expectMisconfigured(await Self.refusal("\(folder)/empty", .init(), ask), "call `migrate()` first")
            let first = await Self.refusal("\(folder)/test", migrate: true, ask)
            #expect(first == nil)
            let queue = try DatabaseQueue(path: "\(folder)/test")
            try await queue.write { try $0.execute(sql: "UPDATE reservation_schema SET version = 99") }
            try queue.close()
            Self.expectMisconfigured(await Self.refusal("\(folder)/test", migrate: true), "update the library")
            let other = try DatabaseQueue(path: "\(folder)/other")
            try await other.write { try $0.execute(sql: "CREATE TABLE bucket (id); CREATE TABLE orders (id)") }
            try other.close()
            Self.expectMisconfigured(await Self.refusal("\(folder)/other", migrate: true), "a file of its own")
            // The refused migration has left nothing behind.
            let same = try DatabaseQueue(path: "\(folder)/other")
            let tables = try await same.read { try String.fetchAll($0, sql: "SELECT name FROM sqlite_schema") }
            try same.close()
            #expect(tables == ["bucket", "orders"])
        }
    }

    @Test("A full disk: what does not fit is not there, and what was there stays")
    func full() async throws {
        try await withStore({ $0.maximumPages = 60 }) { harness in
            let bucket = Bucket.counted("a")
            _ = try await harness.store.restock(StockChange(bucket: bucket, delta: 1_000_000, actor: "stock"))
            var held = 0
            var failure: StoreError?
            while failure == nil, held < 10_000 {
                let claim = Claim(
                    id: .make(), holder: "buyer \(held)", cart: Cart(trusted: [Line(bucket)]), ttl: .seconds(600),
                    totalHold: .seconds(600), maximumLiveHolds: nil, request: nil)
                do throws(StoreError) {
                    _ = try await harness.store.claim(claim, by: .atomic)
                    held += 1
                } catch {
                    failure = error
                    #expect(try await harness.store.reservation(claim.id, holder: nil) == nil)
                }
            }
            #expect(failure?.code == .unavailable)
            #expect(failure?.effect == StoreError.Effect.none)
            #expect(failure?.message.contains("make room") == true)
            #expect(held > 10)
            #expect(try await harness.store.states(of: [bucket]).map(\.held) == [held])
            try await Rig(harness).expectCleanAudit()
        }
    }
}
