import ArgumentParser
import RedislockKit

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

@main
struct Redislock: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "redislock",
        abstract: "flock(1) for a fleet: runs commands under a lock that lives on Redis.",
        discussion: """
            Start with:  redislock run --help
            See it work: redislock demo
            """,
        version: "0.1.0",
        subcommands: [RunCommand.self, StatusCommand.self, BreakCommand.self, InitCommand.self, DemoCommand.self]
    )

    /// Everything that concerns the whole process happens here, on the main thread, while there is no other.
    static func main() {
        do {
            var command = try parseAsRoot()
            guard let operation = command as? any Operation else {
                try command.run()
                exit()
            }
            try operation.prepare().perform()
        } catch let failure as Failure {
            Console.complain(failure.sentence)
            leave(failure.status)
        } catch {
            guard exitCode(for: error) != .success else { exit(withError: error) }
            // One line, as for every other failure; the parser would print the usage, too.
            let subcommand = CommandLine.arguments.dropFirst().first { name in
                configuration.subcommands.contains { $0.configuration.commandName == name }
            }
            let help = ["redislock", subcommand, "--help"].compactMap(\.self).joined(separator: " ")
            Console.complain(Failure(.usage, message(for: error)).sentence + " (see \(help))")
            leave(.usage)
        }
    }
}

/// A subcommand of ours.
protocol Operation: ParsableCommand {
    /// Checks what was asked for.
    func prepare() throws -> Job
}

/// What a subcommand does, once checked.
struct Job {
    /// Does it. The sentence, if any, is for stderr.
    let run: @Sendable () async -> (status: ExitStatus, sentence: String?)
    /// Takes the signals that would otherwise end the process; `nil` to let them.
    var receive: ((_ signal: Int32, _ fromTerminal: Bool) -> Void)?

    func perform() -> Never {
        let relay = receive.map { _ in SignalRelay.install() }
        Task { [run] in
            let (status, sentence) = await run()
            if let sentence { Console.complain(sentence) }
            leave(status)
        }
        if let relay, let receive { relay.forward(to: receive) }
        while true { pause() }
    }
}

func leave(_ status: ExitStatus) -> Never {
    exit(status.code)
}
