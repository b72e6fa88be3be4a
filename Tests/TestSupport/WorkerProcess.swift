import Foundation
import Synchronization

/// The program `reservation-worker` as a process of its own, that a test may stop and kill. It ends with this process: its
/// standard input does.
package final class WorkerProcess: Sendable {
    /// What it says, line by line. A line that was cut by its death is not a line.
    package let lines: AsyncStream<String>
    private let process: Mutex<Process>
    private let input = Pipe()

    /// Next to the program that asks, where the build puts both.
    private static let path: String = {
        #if os(Linux)
            let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        #else
            let bundle = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }
            let own = bundle?.bundlePath ?? CommandLine.arguments[0]
        #endif
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("reservation-worker").path
    }()

    package init(_ arguments: [String]) throws {
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments = arguments
        process.standardInput = input
        process.standardOutput = output
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        self.lines = lines
        try process.run()
        self.process = Mutex(process)
        // One thread reads to the end of the process.
        Thread.detachNewThread {
            var rest = Data()
            while case let data = output.fileHandleForReading.availableData, !data.isEmpty {
                rest.append(data)
                while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                    continuation.yield(String(decoding: rest[rest.startIndex..<end], as: UTF8.self))
                    rest.removeSubrange(rest.startIndex...end)
                }
            }
            continuation.finish()
        }
    }

    /// Runs it to its end, and answers its last line.
    package static func run(_ arguments: String...) async throws -> String {
        let worker = try WorkerProcess(arguments)
        return await worker.lines.reduce("") { $1 }
    }

    package func signal(_ signal: CInt) {
        process.withLock { process in
            // Not reaped before `waitUntilExit`: the id is still its own.
            if process.isRunning { _ = Foundation.kill(process.processIdentifier, signal) }
        }
    }

    package func kill() {
        signal(SIGKILL)
        process.withLock { $0.waitUntilExit() }
    }

    /// Asks it to come to an end by itself.
    package func say(_ line: String) {
        try? input.fileHandleForWriting.write(contentsOf: Data((line + "\n").utf8))
    }
}
