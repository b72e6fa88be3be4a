import TestSupport
import Testing

/// The promise that makes it safe to kill a test run: no server survives it.
@Suite(.timeLimit(.minutes(2)))
struct SurvivalTests {
    @Test("no server survives a test process that was killed by SIGKILL")
    func killedParent() async throws {
        try await withTemporaryDirectory { folder in
            let note = "\(folder)/note"
            await #expect(processExitsWith: .signal(SIGKILL)) { [note = note as String] in
                let servers = try (RedisTestServer(), RedisTestServer(), RedisTestServer())
                // A stopped process must die as well, and one that is gone must not be missed.
                try servers.1.pause()
                try servers.2.kill()
                let line = [servers.0, servers.1].map { "\($0.processIdentifier) \($0.folder)" }.joined(separator: "\n")
                try writeText(line, to: note)
                withExtendedLifetime(servers) { _ = kill(getpid(), SIGKILL) }
            }
            let lines = try readText(note).split(separator: "\n")
            #expect(lines.count == 2)
            for line in lines {
                let words = line.split(separator: " ")
                let pid = try #require(words.first.flatMap { pid_t($0) })
                let path = try String(#require(words.last))
                try await waitUntil("server \(pid) is gone") { !processExists(pid) }
                try await waitUntil("folder \(path) is gone") { access(path, F_OK) != 0 }
            }
        }
    }
}
