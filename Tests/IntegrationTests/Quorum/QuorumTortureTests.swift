import TestSupport
import Testing

/// `scripts/torture` in short.
@Suite("A quorum under attack: torture", .timeLimit(.minutes(2)))
struct QuorumTortureTests {
    @Test("Processes increment a counter under the lock while nodes are killed, wiped and stopped: nothing is lost")
    func torture() async throws {
        let worker = try SupervisedProcess(
            SupervisedProcess.sibling("lock-worker"), ["torture", "--seconds", "4", "--processes", "4"])
        let status = try await worker.waitForExit(within: .seconds(110))
        #expect(status == 0, "\(worker.output)")
        #expect(worker.output.contains("violations 0"))
    }
}
