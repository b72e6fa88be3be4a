import GRDB
import Reservations

/// Brings the schema up to date, one step after the other, in one transaction.
///
/// The version is in a table of its own and not in `PRAGMA user_version`, so that an application may keep its own tables in
/// the same file.
struct Migrations {
    /// The steps: number 1 is the first.
    static let steps: [[UInt8]] = [PackageResources.schema_1_sql]

    let db: Database

    /// Inside a transaction that has the write lock: whoever else migrates waits, and finds everything done.
    func run() throws {
        try db.execute(sql: "CREATE TABLE IF NOT EXISTS reservation_schema (version INTEGER NOT NULL) STRICT")
        let version = try version() ?? 0
        guard version >= 0 else {
            throw StoreError(
                .misconfigured, "The database has version \(version) of the schema, which there never was.")
        }
        guard version <= Self.steps.count else {
            throw StoreError(
                .misconfigured,
                "The database has version \(version) of the schema and this library knows up to \(Self.steps.count): "
                    + "update the library.")
        }
        guard version < Self.steps.count else { return }
        for step in Self.steps[version...] { try db.execute(sql: String(decoding: step, as: UTF8.self)) }
        try db.execute(sql: "DELETE FROM reservation_schema")
        try db.execute(sql: "INSERT INTO reservation_schema (version) VALUES (?)", arguments: [Self.steps.count])
    }

    /// `nil` when nothing was ever migrated.
    func version() throws -> Int? {
        try Int.fetchOne(db, sql: "SELECT version FROM reservation_schema")
    }
}
