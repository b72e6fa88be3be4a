import Foundation
import Synchronization

/// Whoever started this process, at the other end of its standard input.
enum Parent {
    private static let end = Atomic(false)

    /// Whether it wants this process to come to an end by itself.
    static var wantsAnEnd: Bool { end.load(ordering: .relaxed) }

    /// Ends this process with its parent, however that ends: the kernel closes the pipe.
    static func follow() {
        Thread.detachNewThread {
            var byte: UInt8 = 0
            while true {
                // Not Foundation's file handle, which makes an end of the process when a signal interrupts it.
                let count = read(STDIN_FILENO, &byte, 1)
                if count > 0 { end.store(true, ordering: .relaxed) }
                if count == 0 || count < 0 && errno != EINTR { exit(3) }
            }
        }
    }
}

/// One line, written at once: who reads it may kill this process right after.
func say(_ line: String) {
    try? FileHandle.standardOutput.write(contentsOf: Data((line + "\n").utf8))
}

/// `--name value` pairs.
struct Options {
    private var values: [String: String] = [:]

    init(_ arguments: ArraySlice<String>) throws {
        var rest = arguments
        while let name = rest.popFirst() {
            guard name.hasPrefix("--"), let value = rest.popFirst() else { throw UsageError(description: name) }
            values[String(name.dropFirst(2))] = value
        }
    }

    subscript(name: String) -> String? { values[name] }

    func number(_ name: String, _ otherwise: Int) throws -> Int {
        guard let text = values[name] else { return otherwise }
        guard let number = Int(text), number > 0 else { throw UsageError(description: "--\(name) \(text)") }
        return number
    }
}

struct UsageError: Error, CustomStringConvertible {
    let description: String
}
