import Foundation
import GRDB
import ReservationStoreConformance
import Reservations
import ReservationsSQLite
import TestSupport
import Testing

@Suite("Several processes on one SQLite file", .timeLimit(.minutes(3)))
struct ProcessTests {
    @Test("Ten that make and migrate the same new file at once")
    func migrations() async throws {
        for _ in 0..<3 {
            try await withTemporaryDirectory { folder in
                let answers = try await withThrowingTaskGroup(of: String.self) { group in
                    for _ in 0..<10 { group.addTask { try await WorkerProcess.run("open", "\(folder)/test.db") } }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers == Array(repeating: "ok", count: 10))
            }
        }
    }

    @Test("One that is killed in the middle of a transaction leaves nothing of it, and nobody waits for it")
    func killedInTransaction() async throws {
        try await withStore { harness in
            let bucket = Bucket.counted("item 0")
            _ = try await harness.store.restock(StockChange(bucket: bucket, delta: 5, actor: "stock"))
            let worker = try WorkerProcess(["hang", harness.path])
            var lines = worker.lines.makeAsyncIterator()
            #expect(await lines.next() == "in")
            let claim = Claim(
                id: .make(), holder: "ann", cart: Cart(trusted: [Line(bucket)]), ttl: .seconds(60),
                totalHold: .seconds(60), maximumLiveHolds: nil, request: nil)
            let waiting = Task { try await harness.store.claim(claim, by: .atomic) }
            worker.kill()
            #expect(try await waiting.value.isHeld)
            #expect(try await harness.store.states(of: [bucket]).map(\.held) == [1])
            try await Rig(harness).expectCleanAudit()
        }
    }

    @Test("Buyers in four processes that are killed again and again: what was acknowledged is there")
    func killedAtRandom() async throws {
        try await withStore { harness in
            let items = 3
            for item in 0..<items {
                let change = StockChange(bucket: .counted("item \(item)"), delta: 100_000, actor: "stock")
                _ = try await harness.store.restock(change)
            }
            let acknowledged = try await withThrowingTaskGroup(of: [String].self) { group in
                for slot in 0..<4 {
                    group.addTask {
                        var all: [String] = []
                        for round in 0..<4 {
                            let arguments = ["buy", harness.path, "\(slot)-\(round)", "\(items)"]
                            all += try await Self.runAndKill(arguments, after: Int.random(in: 5...60))
                        }
                        return all
                    }
                }
                return try await group.reduce(into: []) { $0 += $1 }
            }
            #expect(acknowledged.count > 100)
            #expect(
                !acknowledged.contains { $0.hasPrefix("error") }, "\(acknowledged.filter { $0.hasPrefix("error") })")
            try await Self.expectAll(acknowledged, in: harness)
            let integrity = try await harness.sqlite.withDatabase {
                try String.fetchAll($0, sql: "PRAGMA integrity_check")
            }
            #expect(integrity == ["ok"])
            try await Rig(harness).expectCleanAudit()
        }
    }

    private static func runAndKill(_ arguments: [String], after count: Int) async throws -> [String] {
        let worker = try WorkerProcess(arguments)
        var heard: [String] = []
        for await line in worker.lines {
            heard.append(line)
            if heard.count == count { worker.kill() }
        }
        return heard
    }

    private static func expectAll(_ acknowledged: [String], in harness: SQLiteHarness) async throws {
        for line in acknowledged {
            let words = line.split(separator: " ").map(String.init)
            guard words.count == 2, let id = ReservationID(words[1]) else { continue }
            let state = try await harness.store.reservation(id, holder: nil)?.state
            switch words[0] {
            case "held": #expect(state != nil, "\(line) is lost.")
            case "confirmed": #expect(state == .confirmed, "\(line) is lost.")
            default: Issue.record("A worker says \(line).")
            }
        }
    }
}
