import TestSupport
import Testing

/// One after the other: each is many processes.
@Suite("Torture of reservations", .serialized, .timeLimit(.minutes(4)))
struct TortureTests {
    private func torture(_ arguments: String...) async throws -> [String] {
        let worker = try WorkerProcess(["torture"] + arguments)
        return await worker.lines.reduce(into: []) { $0.append($1) }
    }

    @Test("Processes killed and stopped, Redis emptied, PostgreSQL restarted: nothing oversold, lost or sold twice")
    func postgreSQL() async throws {
        let lines = try await torture("--store", "postgresql", "--seconds", "10")
        #expect(lines.last == "ok", "\(lines.joined(separator: "\n"))")
    }

    @Test("Processes on one SQLite file killed and stopped, Redis emptied: nothing oversold, lost or sold twice")
    func sqlite() async throws {
        let lines = try await torture("--store", "sqlite", "--seconds", "8")
        #expect(lines.last == "ok", "\(lines.joined(separator: "\n"))")
    }

    @Test(
        "Waiting lines in processes that are killed and stopped, Redis emptied and restarted: nothing oversold or lost",
        arguments: ["postgresql", "sqlite"])
    func lines(store: String) async throws {
        let lines = try await torture("--store", store, "--line", "yes", "--seconds", "8")
        #expect(lines.last == "ok", "\(lines.joined(separator: "\n"))")
    }

    @Test(
        "An owner killed between every two steps: first come, first served, and nobody lost",
        arguments: ["postgresql", "sqlite"])
    func steps(store: String) async throws {
        let worker = try WorkerProcess(["line-steps", "--store", store])
        let lines = await worker.lines.reduce(into: []) { $0.append($1) }
        #expect(lines.last == "ok", "\(lines.joined(separator: "\n"))")
    }

    @Test("Rows that do not look at the token are caught: somebody wrote after one with a greater token")
    func withoutFence() async throws {
        let lines = try await torture("--store", "postgresql", "--seconds", "3", "--mutant", "fence")
        #expect(lines.last == "FAILED", "\(lines.joined(separator: "\n"))")
        #expect(lines.contains { $0.hasPrefix("BAD ") && $0.contains(" after ") })
        #expect(lines.contains { $0.contains("oversell 0, lost 0, duplicates 0, deadlocks 0, audit findings 0") })
    }

    @Test("A line that does not look at the token is caught: two have gone on from one place")
    func lineWithoutFence() async throws {
        let lines = try await torture("--store", "postgresql", "--line", "yes", "--seconds", "3", "--mutant", "fence")
        #expect(lines.last == "FAILED", "\(lines.joined(separator: "\n"))")
        #expect(
            lines.contains { $0.hasPrefix("BAD line ") && $0.contains(" was decided from ") },
            "\(lines.joined(separator: "\n"))")
    }

    @Test("A line that decides on a request twice is caught: a holder has two reservations")
    func lineDecidesTwice() async throws {
        let lines = try await torture("--store", "sqlite", "--line", "yes", "--seconds", "2", "--mutant", "twice")
        #expect(lines.last == "FAILED", "\(lines.joined(separator: "\n"))")
        #expect(lines.contains { $0.hasPrefix("BAD ") && $0.contains(" has 2") }, "\(lines.joined(separator: "\n"))")
    }

    @Test(
        "A store that fails, or refuses what it must not, is caught and not taken for one that is sold out",
        arguments: [("failing", " failed "), ("forgetful", " not-found")])
    func failing(mutant: String, word: String) async throws {
        let lines = try await torture("--store", "sqlite", "--seconds", "1", "--mutant", mutant)
        #expect(lines.last == "FAILED", "\(lines.joined(separator: "\n"))")
        #expect(lines.contains { $0.hasPrefix("BAD refused ") && $0.contains(word) })
    }
}
