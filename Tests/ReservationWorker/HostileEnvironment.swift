import Foundation
import ReservationsPostgreSQL

/// A process whose environment says other things about PostgreSQL than its URL does.
enum HostileEnvironment {
    static func run(_ url: String) async throws {
        // Nobody reads the environment yet. The address is one of those that are nobody's (RFC 5737).
        for (name, value) in [
            ("PGHOSTADDR", "192.0.2.1"), ("PGOPTIONS", "-c search_path=nowhere -c work_mem=123kB"),
        ] {
            setenv(name, value, 1)
        }
        let client = try PostgreSQLClient(ClientConfiguration(options: try ConnectionOptions(url), schema: "public"))
        do throws(DatabaseError) {
            say(try await client.query("SELECT current_setting('work_mem')")[0, 0] ?? "nothing")
        } catch {
            say("\(error)")
        }
        await client.close()
        setenv("PGSERVICE", "somebody", 1)
        do throws(DatabaseError) {
            _ = try ConnectionOptions(url)
        } catch {
            say("\(error.code) \(error)")
        }
    }
}
