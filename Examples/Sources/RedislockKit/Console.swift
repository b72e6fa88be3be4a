#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// Where the tool writes: whole lines, unbuffered, never an escape code into a pipe.
package enum Console {
    /// Writes one line that says why, with the tool's name in front.
    package static func complain(_ sentence: String) {
        write("redislock: \(sentence)\n", to: STDERR_FILENO)
    }

    /// Writes lines to stdout.
    package static func print(_ text: String) {
        write(text + "\n", to: STDOUT_FILENO)
    }

    /// Whether colours would be seen.
    package static var isTerminal: Bool {
        isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == nil
    }

    private static func write(_ text: String, to descriptor: Int32) {
        var bytes = Array(text.utf8)[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { systemWrite(descriptor, $0.baseAddress, $0.count) }
            if count < 0, errno == EINTR { continue }
            // A reader that has gone away is no reason to end otherwise than planned.
            guard count > 0 else { return }
            bytes = bytes.dropFirst(count)
        }
    }

    /// The value of an environment variable.
    package static func environment(_ name: String) -> String? {
        getenv(name).map { String(cString: $0) }
    }
}

private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawPointer?, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}
