import Testing

@testable import TestSupport

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

    @Test("no program of ours survives it either")
    func killedParentOfProgram() async throws {
        try await withTemporaryDirectory { folder in
            let note = "\(folder)/note"
            await #expect(processExitsWith: .signal(SIGKILL)) { [note = note as String] in
                let program = try SupervisedProcess("/bin/sleep", ["1000"])
                try await program.pause()
                try writeText("\(program.processIdentifier)", to: note)
                withExtendedLifetime(program) { _ = kill(getpid(), SIGKILL) }
            }
            let pid = try #require(pid_t(try readText(note)))
            try await waitUntil("program \(pid) is gone") { !processExists(pid) }
        }
    }

    #if os(Linux)
        @Test("proxies leave no descriptor and no thread behind, stopped or thrown away")
        func proxiesLeaveNothing() async {
            await #expect(processExitsWith: .success) {
                func use() throws -> (descriptors: Int, threads: Int) {
                    (try entries(of: "/proc/self/fd").count, try entries(of: "/proc/self/task").count)
                }
                try await RedisTestServer.with { server in
                    try server.command("PING")
                    // The runtime opens what its timers need with the first sleep.
                    try await Task.sleep(for: .milliseconds(1))  // sleep: so that it has
                    let before = try use()
                    for round in 0..<50 {
                        let proxy = try FaultProxy(to: server.port)
                        proxy.set(.requests, round % 3 == 0 ? .hold : .pass)
                        let client = try RESPClient(port: proxy.port, patience: .milliseconds(1))
                        _ = try? client.send(["PING"])
                        if round % 2 == 0 { await proxy.stop() }
                    }
                    // What the runtime has comes and goes by a few; ours would remain by the hundred.
                    try await waitUntil("everything is given back") {
                        try use().descriptors <= before.descriptors + 8 && use().threads <= before.threads + 8
                    }
                }
            }
        }
    #endif

    @Test("no PostgreSQL survives a test process that was killed by SIGKILL, although its sessions stand still")
    func killedParentOfPostgreSQL() async throws {
        try await withTemporaryDirectory { folder in
            let note = "\(folder)/note"
            await #expect(processExitsWith: .signal(SIGKILL)) { [note = note as String] in
                let cluster = try PostgreSQLTestCluster()
                try cluster.pause()
                try writeText("\(cluster.processIdentifier) \(cluster.folder)", to: note)
                withExtendedLifetime(cluster) { _ = kill(getpid(), SIGKILL) }
            }
            let words = try readText(note).split(separator: " ")
            let pid = try #require(words.first.flatMap { pid_t($0) })
            let path = try String(#require(words.last))
            try await waitUntil("server \(pid) is gone") { !processExists(pid) }
            try await waitUntil("folder \(path) is gone") { access(path, F_OK) != 0 }
        }
    }

    @Test("PostgreSQL restarts on its port with what was committed, and is gone after cleaning up")
    func postgreSQLLife() async throws {
        let cluster = try await PostgreSQLTestCluster.started()
        let (pid, port) = (cluster.processIdentifier, cluster.port)
        #expect(processExists(pid))
        try cluster.terminate()
        #expect(cluster.processIdentifier == 0)
        try cluster.restart()
        #expect(cluster.port == port)
        #expect(cluster.log.contains("ready to accept connections"))
        cluster.cleanUp()
        cluster.cleanUp()
        #expect(!processExists(pid))
        #expect(access(cluster.folder, F_OK) != 0)
    }
}
