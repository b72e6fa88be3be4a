import Foundation
import ReservationServiceKit
import TestSupport

/// One process of the service at a port of its own, which is killed and stopped, and goes with this program.
final class ServiceProcess: Sendable {
    let name: String
    let url: String
    private let supervisor: ProcessSupervisor
    private let program: String
    private let arguments: [String]

    init(_ name: String, program: String, arguments: [String]) throws {
        let port = try LoopbackPort.findFree()
        self.name = name
        url = "http://127.0.0.1:\(port)"
        self.program = program
        self.arguments = ["serve", "--port", "\(port)", "--log-level", "warning"] + arguments
        supervisor = try ProcessSupervisor(folder: try makeTemporaryDirectory("service"))
    }

    /// Returns when it listens. Somebody may have taken its port meanwhile, and then has to go first.
    func start() async throws {
        try await waitUntil("\(name) listens at \(url)", within: .seconds(120)) { try await self.startOnce() }
    }

    private func startOnce() async throws -> Bool {
        try await RedisTestServer.blocking { [supervisor, program, arguments] in
            try supervisor.start(program, arguments)
            let limit = ContinuousClock.now + .seconds(120)
            while try supervisor.waitForExit(within: .milliseconds(20)) == nil {
                guard ContinuousClock.now < limit else {
                    throw TestSupportError("The service neither listens nor ends.")
                }
                if try readText("\(supervisor.folder)/log").contains("Listening on ") { return true }
            }
            let log = try readText("\(supervisor.folder)/log")
            guard log.contains("somebody else listens") else { throw TestSupportError("The service ended:\n\(log)") }
            return false
        }
    }

    /// As if the machine's power had failed.
    func kill() async throws {
        try await RedisTestServer.blocking { [supervisor, name] in
            try supervisor.signal("KILL")
            guard try supervisor.waitForExit(within: .seconds(30)) != nil else {
                throw TestSupportError("\(name) survives SIGKILL.")
            }
        }
    }

    /// Stands still for so long, in the middle of whatever it does.
    func pause(for duration: Duration) async throws {
        try supervisor.signal("STOP")
        try await Task.sleep(for: duration)  // sleep: a process that stands still, for longer than its locks live
        try supervisor.signal("CONT")
    }

    func end() { supervisor.close() }

    /// What it has complained of since it was last started.
    var log: String { (try? readText("\(supervisor.folder)/log")) ?? "" }
}
