import TestSupport
import Testing

@Suite("Torture of reservations", .timeLimit(.minutes(4)))
struct TortureTests {
    @Test("Processes killed and stopped, Redis emptied, PostgreSQL restarted: nothing oversold, lost or sold twice")
    func tenSeconds() async throws {
        let worker = try WorkerProcess(["torture", "--seconds", "10"])
        let lines = await worker.lines.reduce(into: [] as [String]) { $0.append($1) }
        #expect(lines.last == "ok", "\(lines.joined(separator: "\n"))")
    }
}
