import AsyncHTTPClient
import Foundation
import RedislockKit
import ReservationServiceKit
import Subprocess
import TestSupport
import Testing

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

@Suite("The commands")
struct CommandTests {
    private func run(_ arguments: [String]) async throws -> (status: TerminationStatus, output: String, errors: String)
    {
        let result = try await Subprocess.run(
            .path(FilePath(Program.path)), arguments: Arguments(arguments),
            output: .string(limit: 1 << 16), error: .string(limit: 1 << 16))
        return (result.terminationStatus, result.standardOutput, result.standardError)
    }

    @Test("migrate makes the schema, audit finds it in order, and says so when it is not")
    func audit() async throws {
        let folder = try makeTemporaryDirectory("service")
        defer { removeRecursively(folder) }
        let store = "sqlite:\(folder)/r.sqlite"
        #expect(try await run(["migrate", "--store", store]).status == .exited(0))
        let clean = try await run(["audit", "--store", store])
        #expect(clean.status == .exited(0))
        #expect(clean.output.contains("0 findings"))
        // Somebody sells past the book: the constraints allow it, the ledger does not know of it.
        let script =
            "import sqlite3,sys; d=sqlite3.connect(sys.argv[1]); d.execute('UPDATE bucket SET sold = 1 WHERE id = 1'); d.commit()"
        let changed = try await Subprocess.run(
            .name("python3"), arguments: ["-c", script, "\(folder)/r.sqlite"], output: .discarded, error: .discarded)
        #expect(changed.terminationStatus == .exited(0))
        let broken = try await run(["audit", "--store", store])
        #expect(broken.status == .exited(1))
        #expect(broken.output.contains("soldByLines"))
    }

    @Test("The demonstration sells everything once, has a late write refused, and leaves nothing behind")
    func demonstration() async throws {
        let result = try await run([
            "demo", "--once", "--port", "0", "--buyers", "80", "--units", "10", "--log-level", "critical",
        ])
        #expect(result.status == .exited(0), "\(result.errors)")
        #expect(result.output.contains("stale fences refused: 1"))
        #expect(result.output.contains("oversell 0, lost 0, duplicates 0"))
    }

    @Test("serve says where it listens, answers, and ends in order at SIGTERM, with listeners connected")
    func serve() async throws {
        let folder = try makeTemporaryDirectory("service")
        defer { removeRecursively(folder) }
        var options = PlatformOptions()
        options.teardownSequence = [.send(signal: .kill, allowedDurationToNextStep: .seconds(1))]
        let result = try await Subprocess.run(
            .path(FilePath(Program.path)),
            arguments: ["serve", "--store", "sqlite:\(folder)/r.sqlite", "--port", "0", "--log-level", "critical"],
            platformOptions: options, input: .none, output: .sequence, error: .discarded
        ) { execution in
            for try await line in execution.standardOutput.strings() where line.contains("Listening on ") {
                let url = try #require(line.split(separator: " ").last)
                let response = try await HTTPClient.shared.execute(
                    HTTPClientRequest(url: "\(url)/v1/items/poster/events"), timeout: .seconds(30))
                #expect(response.status == .ok)
                var body = response.body.makeAsyncIterator()
                #expect(try await body.next() != nil)
                try execution.send(signal: .terminate)
            }
        }
        #expect(result.terminationStatus == .exited(0))
    }

    @Test(
        "Mistakes are named and have a status",
        arguments: [
            (["serve", "--store", "mysql://x"], Int32(64), "--store"), (["serve", "--port", "70000"], 64, "--port"),
            (["audit", "--store", "sqlite:/nowhere/at/all.sqlite"], 78, "reservation-service:"),
            (["rush", "--url", "http://127.0.0.1:1", "--units", "0"], 69, "cannot be reached"),
        ])
    func mistakes(arguments: [String], status: Int32, word: String) async throws {
        let result = try await run(arguments)
        #expect(result.status == .exited(status))
        #expect(result.errors.contains(word), "\(result.errors)")
    }
}
