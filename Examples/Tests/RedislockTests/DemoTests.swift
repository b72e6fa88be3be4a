import Subprocess
import TestSupport
import Testing

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

@Suite("redislock demo on several nodes", .timeLimit(.minutes(2)))
struct DemoTests {
    @Test("starts private nodes, kills some and shows that the lock lives on, in the end leaving nothing behind")
    func privateNodes() async throws {
        try await withTemporaryDirectory { folder in
            let result = try await Tool.run("demo", "--private", "3", "--seconds", "3", environment: ["TMPDIR": folder])
            #expect(result.status == 0, "\(result.errors)\(result.output)")
            for word in [
                "KILLS node 3", "renews its lease at 2 of 3 nodes", "the lock lives on", "KILLS node 2",
                "could not be renewed before its deadline", "is refused (quorumUnreachable)", "Connection refused",
                "starts node 2 again", "does not vote for another", "all nodes vote again", "FROZEN", "REFUSED",
                "exit status 74", "strictly increasing", "lost updates   0", "nodes killed   2",
            ] {
                #expect(result.output.contains(word), "\(word) in \(result.output)")
            }
            #expect(!result.output.contains("\u{1B}"))
            #expect(result.errors == "")
            #expect(try FileManager.default.contentsOfDirectory(atPath: folder) == [])
        }
    }

    #if os(Linux)
        /// Processes that were started, over however many others, with this value of TMPDIR, or work in that folder:
        /// a redis-server writes its title over the environment that it was started with.
        private static func processes(withTemporaryFolder folder: String) -> [Int] {
            let all = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
            return all.compactMap { Int($0) }.filter { process in
                let place = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/\(process)/cwd")
                if place?.hasPrefix(folder) == true { return true }
                let environment = FileManager.default.contents(atPath: "/proc/\(process)/environ")
                return (environment ?? Data()).split(separator: 0).contains {
                    $0.elementsEqual("TMPDIR=\(folder)".utf8)
                }
            }
        }

        @Test(
            "takes its nodes and its processes along when it is killed, a frozen one among them",
            arguments: [(Signal.kill, 137, "FROZEN"), (.kill, 137, "process"), (.terminate, 143, "FROZEN")])
        func killed(signal: Signal, status: Int32, moment: String) async throws {
            try await withTemporaryDirectory { folder in
                let result = try await Tool.run(
                    "demo", "--private", "3", "--seconds", "3", environment: ["TMPDIR": folder]
                ) { running, lines in
                    while let line = try await lines.next(), !line.contains(moment) {}
                    #expect(Self.processes(withTemporaryFolder: folder).count >= 5, "itself, a shell and three servers")
                    try running.send(signal)
                }
                #expect(result.status == status)
                try await waitUntil("all its processes are gone") {
                    Self.processes(withTemporaryFolder: folder).isEmpty
                }
                try await waitUntil("its folder is gone") {
                    try FileManager.default.contentsOfDirectory(atPath: folder) == []
                }
            }
        }
    #endif

    @Test("shows on nodes that were given to it what it can, and leaves them alone")
    func givenNodes() async throws {
        try await Quorum.with { quorum in
            let before = quorum.servers.map(\.processIdentifier)
            let result = try await Tool.run("demo", "--seconds", "3", environment: quorum.environment)
            #expect(result.status == 0, "\(result.errors)\(result.output)")
            #expect(result.output.contains("FROZEN"))
            #expect(result.output.contains("strictly increasing"))
            #expect(!result.output.contains("KILLS"))
            #expect(quorum.servers.map(\.processIdentifier) == before)
            #expect(try quorum.ask("PING") == ["PONG", "PONG", "PONG"])
        }
    }

    @Test("says at once that nodes which were given to it do not vote yet")
    func newNodes() async throws {
        try await Quorum.withNew { quorum in
            let result = try await Tool.run("demo", "--seconds", "3", environment: quorum.environment)
            #expect(result.status == 69)
            #expect(result.errorLines.count == 1)
            #expect(result.errors.contains("redislock init"))
        }
    }

    @Test("says what is missing when there is no redis-server to start")
    func noServer() async throws {
        let result = try await Tool.run("demo", "--private", "3", environment: ["PATH": "/nowhere"])
        #expect(result.status == 127)
        #expect(result.errorLines.count == 1)
        #expect(result.errors.contains("redis-server"))
    }
}
