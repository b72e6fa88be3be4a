import Foundation
import Reservations
import ReservationsPostgreSQL
import ReservationsSQLite
import TestSupport

/// An owner of a line that dies between every two of its steps, each in turn; then another goes on. Those who came first must
/// be served first, all of them, once.
enum LineSteps {
    private static let places = [
        "take.before.1", "take.after.1", "read.after.1", "decide.before.1", "decide.after.1", "decide.after.2",
        "announce.before.1", "announce.after.1", "trim.before.1", "trim.after.1", "trim.after.2",
    ]
    /// Of those who were on their way in.
    private static let intakePlaces = ["enqueue.before.3", "enqueue.after.3", "append.before.3", "append.after.3"]

    static func run(_ arguments: ArraySlice<String>) async throws -> Bool {
        let options = try Options(arguments)
        let isWell =
            try await RedisTestServer.with { redis in
                var isWell = true
                for place in places + intakePlaces {
                    isWell =
                        try await inStore(options["store"] ?? "sqlite") { store, path in
                            try await run(place, store, path, redis)
                        } && isWell
                    // The next has another store: nothing of this one's lines.
                    try redis.command("FLUSHALL")
                }
                return isWell
            }
        say(isWell ? "ok" : "FAILED")
        return isWell
    }

    private static func inStore(
        _ kind: String, _ body: (any QueueingReservationStore, String) async throws -> Bool
    ) async throws -> Bool {
        guard kind == "sqlite" else {
            return try await PostgreSQLTestCluster.with { cluster in
                let store = try PostgreSQLReservationStore(url: cluster.url)
                try await store.migrate()
                let isWell = try await body(store, cluster.url)
                await store.close()
                return isWell
            }
        }
        return try await withTemporaryDirectory { folder in
            let store = try await SQLiteReservationStore.open("\(folder)/line.db")
            try await store.migrate()
            let isWell = try await body(store, "\(folder)/line.db")
            await store.close()
            return isWell
        }
    }

    private static func run(
        _ place: String, _ store: any QueueingReservationStore, _ path: String, _ redis: RedisTestServer
    ) async throws -> Bool {
        _ = try await store.restock(StockChange(bucket: .counted("item"), delta: 7, actor: "stock"))
        let arguments = ["line-owner", "--store", path, "--redis", redis.url, "--die", place]
        if intakePlaces.contains(place) { return try await intake(place, arguments, store, path, redis) }
        let own = try await LineProcess(store: path, redis: redis.url, owns: false)
        let told = Told()
        try await own.running {
            var tickets: [Ticket] = []
            for number in 0..<16 {
                guard
                    case .queued(let ticket) = try await own.service.submit(
                        [Line(.counted("item"))], for: "buyer-\(number)", key: "reserve")
                else { throw UsageError(description: "no line") }
                tickets.append(ticket)
            }
            // It ends by its own hand.
            for await _ in try WorkerProcess(arguments).lines {}
            let next = try WorkerProcess(Array(arguments.dropLast(2)))
            for (number, ticket) in tickets.enumerated() {
                do throws(ReservationError) {
                    _ = try await ticket.reservation()
                    told.held.append(number)
                } catch {
                    if error.code.name != "out-of-stock" { told.odd.append("\(number): \(error)") }
                }
            }
            next.kill()
        }
        let audit = try await store.audit(grace: .seconds(3_600))
        let isWell = told.held.all == Array(0..<7) && told.odd.all.isEmpty && audit.isClean
        say("\(place): \(isWell ? "ok" : "BAD held \(told.held.all) \(told.odd.all) \(audit.findings.map(\.detail))")")
        return isWell
    }

    /// What was acknowledged is decided; what was not may be asked again, and is decided once.
    private static func intake(
        _ place: String, _ arguments: [String], _ store: any QueueingReservationStore, _ path: String,
        _ redis: RedisTestServer
    ) async throws -> Bool {
        let dying = try WorkerProcess(arguments + ["--buyers", "buyer"])
        var (asked, accepted): ([String], [String]) = ([], [])
        for await line in dying.lines {
            let words = line.split(separator: " ").map(String.init)
            if words.first == "asking" { asked.append(words[1]) }
            if words.first == "accepted" { accepted.append(words[1]) }
        }
        let (all, sure) = (asked, accepted)
        let told = Told()
        let own = try await LineProcess(store: path, redis: redis.url)
        try await own.running {
            for holder in all {
                do throws(ReservationError) {
                    let first = try await own.service.reserve([Line(.counted("item"))], for: holder, key: "reserve")
                    let again = try await own.service.reserve([Line(.counted("item"))], for: holder, key: "reserve")
                    if first.id != again.id { told.odd.append("\(holder) has two") }
                } catch {
                    told.odd.append("\(holder): \(error)")
                }
            }
        }
        let held = try await store.states(of: [.counted("item")]).map(\.held)
        let audit = try await store.audit(grace: .seconds(3_600))
        let isWell =
            told.odd.all.isEmpty && held == [all.count] && Set(sure).isSubset(of: all) && audit.isClean
            && all.count == 3
        say("\(place): \(isWell ? "ok" : "BAD \(told.odd.all) held \(held) of \(all), accepted \(sure)")")
        return isWell
    }
}

/// What buyers were told.
private final class Told: Sendable {
    let held = Heard<Int>()
    let odd = Heard<String>()
}
