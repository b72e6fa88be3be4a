import Foundation
import Synchronization
import TestSupport

/// A process of its own that works on the file, and that a test may kill. It ends with this process.
final class Worker: Sendable {
    let lines: AsyncStream<String>
    private let process: Mutex<Process>
    private let input: Pipe

    /// Next to the test bundle, where the build puts both.
    private static let path: String = {
        #if os(Linux)
            let own = (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? ""
        #else
            let own = Bundle.allBundles.first { $0.bundlePath.hasSuffix(".xctest") }?.bundlePath ?? ""
        #endif
        return URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent("reservation-worker").path
    }()

    init(_ arguments: [String]) throws {
        let process = Process()
        let output = Pipe()
        input = Pipe()
        process.executableURL = URL(fileURLWithPath: Self.path)
        process.arguments = arguments
        process.standardInput = input
        process.standardOutput = output
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        self.lines = lines
        try process.run()
        self.process = Mutex(process)
        // One thread reads to the end of the process. A line that was cut by its death is not a line.
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
    static func run(_ arguments: String...) async throws -> String {
        let worker = try Worker(arguments)
        return await worker.lines.reduce("") { $1 }
    }

    func kill() {
        process.withLock { process in
            _ = Foundation.kill(process.processIdentifier, SIGKILL)
            process.waitUntilExit()
        }
    }
}
