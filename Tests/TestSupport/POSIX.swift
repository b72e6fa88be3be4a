#if canImport(Darwin)
    @_exported import Darwin
#elseif canImport(Glibc)
    @_exported import Glibc
#elseif canImport(Musl)
    @_exported import Musl
#endif

/// A test fixture could not do what the test asked of it.
package struct TestSupportError: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }

    /// A failed system call, with its reason.
    static func system(_ operation: String, _ code: CInt = errno) -> TestSupportError {
        TestSupportError("\(operation) failed: \(String(cString: strerror(code))) (errno \(code))")
    }
}

/// System calls as the fixtures need them: interrupted calls are repeated, SIGPIPE is never raised.
enum POSIX {
    #if canImport(Darwin)
        static let streamSocket = SOCK_STREAM
        private static let sendFlags: CInt = 0
    #elseif canImport(Glibc)
        static let streamSocket = CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue)
        private static let sendFlags = CInt(MSG_NOSIGNAL)
    #else
        static let streamSocket = SOCK_STREAM | SOCK_CLOEXEC
        private static let sendFlags = MSG_NOSIGNAL
    #endif

    /// Keeps the socket out of child processes, and writes to a closed one from raising a signal.
    static func harden(_ socket: CInt) {
        _ = fcntl(socket, F_SETFD, FD_CLOEXEC)
        #if canImport(Darwin)
            var on: CInt = 1
            setsockopt(socket, SOL_SOCKET, SO_NOSIGPIPE, &on, socklen_t(MemoryLayout<CInt>.size))
        #endif
    }

    static func sendAll(_ bytes: [UInt8], to socket: CInt) throws(TestSupportError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes[sent...].withUnsafeBytes { send(socket, $0.baseAddress, $0.count, sendFlags) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw .system("send") }
            sent += count
        }
    }

    /// Sends what the socket takes; -1 with `errno` when it takes nothing.
    static func trySend(_ bytes: ArraySlice<UInt8>, to socket: CInt) -> Int {
        bytes.withUnsafeBytes { send(socket, $0.baseAddress, $0.count, sendFlags) }
    }

    /// Waits until the descriptor has something to read or is at its end. False when `milliseconds` pass first.
    static func waitReadable(_ descriptor: CInt, milliseconds: CInt) -> Bool {
        var entry = pollfd(fd: descriptor, events: Int16(POLLIN), revents: 0)
        let deadline = ContinuousClock.now + .milliseconds(Int(milliseconds))
        while true {
            let left = max(0, (deadline - .now).milliseconds)
            let count = poll(&entry, 1, CInt(left))
            if count > 0 { return true }
            if count == 0 && ContinuousClock.now >= deadline { return false }
        }
    }

    /// Reads what there is; empty at the end of the stream.
    static func receive(from descriptor: CInt, atMost limit: Int = 65536) throws(TestSupportError) -> [UInt8] {
        var buffer = [UInt8](repeating: 0, count: limit)
        while true {
            let count = read(descriptor, &buffer, limit)
            if count < 0 && errno == EINTR { continue }
            guard count >= 0 else { throw .system("read") }
            return Array(buffer[..<count])
        }
    }

    static func readFile(_ path: String) throws(TestSupportError) -> String {
        String(decoding: try readBytes(path), as: UTF8.self)
    }

    static func readBytes(_ path: String) throws(TestSupportError) -> [UInt8] {
        let descriptor = open(path, O_RDONLY)
        guard descriptor >= 0 else { throw .system("open \(path)") }
        defer { close(descriptor) }
        var content: [UInt8] = []
        while true {
            let part = try receive(from: descriptor)
            if part.isEmpty { break }
            content += part
        }
        return content
    }

    static func writeFile(_ content: String, to path: String) throws(TestSupportError) {
        try writeFile(Array(content.utf8), to: path)
    }

    static func writeFile(_ content: [UInt8], to path: String) throws(TestSupportError) {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard descriptor >= 0 else { throw .system("open \(path)") }
        defer { close(descriptor) }
        var bytes = content[...]
        while !bytes.isEmpty {
            let count = bytes.withUnsafeBytes { write(descriptor, $0.baseAddress, $0.count) }
            if count < 0 && errno == EINTR { continue }
            guard count > 0 else { throw .system("write \(path)") }
            bytes = bytes.dropFirst(count)
        }
    }
}

extension Duration {
    /// Whole milliseconds, rounded up.
    var milliseconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) * 1000 + Int((attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000)
    }
}

/// The whole of a small file. Also for `/proc`, whose files have no size.
package func readText(_ path: String) throws -> String {
    try POSIX.readFile(path)
}

/// Replaces a file's content.
package func writeText(_ text: String, to path: String) throws {
    try POSIX.writeFile(text, to: path)
}
