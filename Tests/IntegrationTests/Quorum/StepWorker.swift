import RedisLocksTesting
import TestSupport
import Testing

/// A client in a process of its own, which does one step after the other, waits at gates, and can be stopped meanwhile.
final class StepWorker: Sendable {
    let process: SupervisedProcess
    private let folder: String

    /// - Parameters:
    ///   - steps: what `lock-worker steps` understands.
    ///   - folder: an existing one, for this worker alone.
    ///   - firstID: of its operations in the history.
    init(
        _ name: String, _ steps: String, urls: [String], store: RedisTestServer, folder: String, firstID: Int,
        wait: Duration = .seconds(60)
    ) throws {
        self.folder = "\(folder)/\(name)"
        mkdir(self.folder, 0o700)
        var arguments = ["steps", "--steps", steps, "--client", name, "--name", "x", "--store", store.url]
        for url in urls { arguments += ["--node", url] }
        arguments += [
            "--ttl", "6000", "--maximum-ttl", "6000", "--node-timeout", "1800", "--wait",
            "\(Int(wait / .milliseconds(1)))",
        ]
        arguments += ["--folder", self.folder, "--history", "\(self.folder)/history", "--first-id", "\(firstID)"]
        process = try SupervisedProcess(SupervisedProcess.sibling("lock-worker"), arguments)
    }

    /// What it has told so far: `begin STEP`, `done STEP RESULT`, `failed STEP CODE`, and `end`.
    var told: [String] {
        ((try? readText("\(folder)/told")) ?? "").split(separator: "\n").map { $0.trimmingSuffix(" ") }
    }

    /// Waits until it tells this, and returns what follows in the line.
    @discardableResult
    func wait(for beginning: String) async throws -> String {
        var found = ""
        do {
            try await waitUntil("\(beginning) is told", within: .seconds(45)) {
                guard let line = told.first(where: { $0.hasPrefix(beginning) }) else { return false }
                found = String(line.dropFirst(beginning.count)).trimmingPrefix(" ")
                return true
            }
        } catch {
            throw TestSupportError("\(error) It told \(told), and said: \(process.output)")
        }
        return found
    }

    func open(_ gate: String) throws { try writeText("", to: "\(folder)/\(gate)") }

    func end() async throws {
        try await wait(for: "end")
        #expect(try await process.waitForExit() == 0)
    }

    var historyLines: [Substring] {
        get throws { try readText("\(folder)/history").split(separator: "\n") }
    }
}

extension StringProtocol {
    fileprivate func trimmingSuffix(_ suffix: String) -> String {
        hasSuffix(suffix) ? String(dropLast(suffix.count)) : String(self)
    }

    fileprivate func trimmingPrefix(_ prefix: String) -> String {
        hasPrefix(prefix) ? String(dropFirst(prefix.count)) : String(self)
    }
}
