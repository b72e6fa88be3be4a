import Subprocess
import TestSupport

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// The built program, run as its users run it.
enum Tool {
    struct Finished: Sendable {
        /// As a shell has it: 128 + n for a signal.
        var status: Int32
        var output: String
        var errors: String
        /// Whether a signal ended the program itself.
        var wasSignalled: Bool

        var errorLines: [Substring] { errors.split(separator: "\n") }
    }

    /// A program that still runs.
    struct Running {
        let pid: Int32
        let send: (Signal) throws -> Void
    }

    typealias Lines = SubprocessOutputSequence.StringSequence<UTF8>.AsyncIterator

    /// Next to the test bundle, where the build puts both.
    static let path: FilePath = {
        #if os(Linux)
            var buffer = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/self/exe", &buffer, buffer.count)
            let own = FilePath(
                String(decoding: buffer[..<max(0, count)].map { UInt8(bitPattern: $0) }, as: UTF8.self))
        #else
            let own = FilePath(CommandLine.arguments[0])
        #endif
        return own.removingLastComponent().appending("redislock")
    }()

    /// Runs it to its end.
    static func run(
        _ arguments: String..., environment: [String: String] = [:], input: String = ""
    ) async throws -> Finished {
        try await run(.path(path), arguments, environment: environment, input: input)
    }

    /// Runs any program to its end.
    static func run(
        _ program: Executable, _ arguments: [String], environment: [String: String] = [:], input: String = ""
    ) async throws -> Finished {
        let result = try await Subprocess.run(
            program, arguments: Arguments(arguments), environment: inherited(environment),
            input: .string(input), output: .string(limit: 1 << 20), error: .string(limit: 1 << 20))
        return Finished(
            status: result.terminationStatus.asInShell, output: result.standardOutput, errors: result.standardError,
            wasSignalled: !result.terminationStatus.isExit)
    }

    /// Runs it, and `body` beside it, which reads its output line by line.
    @discardableResult
    static func run(
        _ arguments: String..., environment: [String: String] = [:],
        beside body: (Running, inout Lines) async throws -> Void
    ) async throws -> Finished {
        var options = PlatformOptions()
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(5))]
        var output: [String] = []
        let result = try await Subprocess.run(
            .path(path), arguments: Arguments(arguments), environment: inherited(environment),
            platformOptions: options, input: .none, output: .sequence, error: .string(limit: 1 << 20)
        ) { execution in
            let running = Running(pid: execution.processIdentifier.value, send: { try execution.send(signal: $0) })
            var lines = execution.standardOutput.strings().makeAsyncIterator()
            try await body(running, &lines)
            while let line = try await lines.next() { output.append(line) }
        }
        return Finished(
            status: result.terminationStatus.asInShell, output: output.joined(separator: "\n"),
            errors: result.standardError, wasSignalled: !result.terminationStatus.isExit)
    }

    private static func inherited(_ variables: [String: String]) -> Environment {
        var changes: [Environment.Key: String?] = ["REDISLOCK_NODES": nil]
        for (name, value) in variables { changes[Environment.Key(stringLiteral: name)] = value }
        return .inherit.updating(changes)
    }
}

extension TerminationStatus {
    var isExit: Bool { if case .exited = self { true } else { false } }

    var asInShell: Int32 {
        switch self {
        case .exited(let code): code
        case .signaled(let signal): 128 + signal
        }
    }
}
