import Foundation
import GRDB
import Reservations
import ReservationsSQLite

/// What a process does with a SQLite file.
enum SQLiteFile {
    static func open(_ path: String, asNobody: Bool) async {
        // Root may write anywhere. Whoever is not root is somebody whom the permissions bind already.
        if asNobody, getuid() == 0, setgid(65_534) != 0 || setuid(65_534) != 0 {
            say("cannot become nobody")
            return
        }
        do throws(StoreError) {
            let store = try await SQLiteReservationStore.open(path)
            try await store.migrate()
            _ = try await store.restock(StockChange(bucket: .counted("a"), delta: 1, actor: "worker"))
            await store.close()
            say("ok")
        } catch {
            say("\(error.code.rawValue): \(error.message)")
        }
    }

    /// Writes, says so, and never commits.
    static func hang(_ path: String) async throws {
        let store = try await SQLiteReservationStore.open(path)
        try await store.withDatabase { db in
            try db.inTransaction(.immediate) {
                try db.execute(sql: "UPDATE bucket SET held = held + 3, version = version + 1")
                say("in")
                while true { pause() }
            }
        }
    }

    /// Buys until it is killed, and says what it was answered.
    static func buy(_ path: String, name: String, items: Int) async throws {
        var options = SQLiteReservationStore.Configuration()
        options.busyTimeout = .seconds(60)
        let store = try await SQLiteReservationStore.open(path, configuration: options)
        var configuration = ReservationService.Configuration()
        configuration.strategy = .atomic
        let service = try ReservationService(store: store, configuration: configuration)
        for number in 0... {
            let holder = "\(name)-\(number)"
            do {
                let lines = (0..<items).shuffled().prefix(2).map { Line(.counted("item \($0)")) }
                let hold = try await service.reserve(lines, for: holder, key: "reserve")
                say("held \(hold.id)")
                _ = try await service.confirm(hold.id, for: holder, key: "confirm")
                say("confirmed \(hold.id)")
            } catch {
                say("error \(error)")
            }
        }
    }
}
