#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// What a server answered to a test's own, blocking client.
package indirect enum TestReply: Sendable, Equatable, CustomStringConvertible {
    case text(String)
    case error(String)
    case integer(Int)
    case array([TestReply])
    case null

    /// As `redis-cli` prints it without decoration: arrays one element per line, nothing for nil.
    package var description: String {
        switch self {
        case .text(let text), .error(let text): text
        case .integer(let number): "\(number)"
        case .array(let elements): elements.map(\.description).joined(separator: "\n")
        case .null: ""
        }
    }
}

/// A blocking RESP2 connection, so that tests can set up and inspect a server without the client under test.
///
/// Not thread-safe: whoever owns it takes care of that.
final class RESPClient {
    private let socket: CInt
    private var unread: ArraySlice<UInt8> = []
    private let patience: CInt

    /// - Throws: when nobody listens on the loopback port.
    init(port: UInt16, patience: Duration = .seconds(10)) throws(TestSupportError) {
        self.patience = CInt(patience.milliseconds)
        #if canImport(Darwin)
            socket = Darwin.socket(AF_INET, POSIX.streamSocket, 0)
        #else
            socket = Glibc.socket(AF_INET, POSIX.streamSocket, 0)
        #endif
        guard socket >= 0 else { throw .system("socket") }
        POSIX.harden(socket)
        var address = LoopbackPort.address(port)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        // Everything is initialized, so that `deinit` closes the socket.
        guard status == 0 else { throw .system("connect to port \(port)") }
    }

    deinit {
        close(socket)
    }

    /// The server closed the connection, or said something unasked. A command sent now might be lost.
    var isStale: Bool {
        !unread.isEmpty || POSIX.waitReadable(socket, milliseconds: 0)
    }

    func send(_ arguments: [String]) throws(TestSupportError) -> TestReply {
        var request = Array("*\(arguments.count)\r\n".utf8)
        for argument in arguments {
            request += Array("$\(argument.utf8.count)\r\n\(argument)\r\n".utf8)
        }
        try POSIX.sendAll(request, to: socket)
        return try readReply()
    }

    private func readReply() throws(TestSupportError) -> TestReply {
        let line = try readLine()
        let rest = String(line.dropFirst())
        switch line.first {
        case "+": return .text(rest)
        case "-": return .error(rest)
        case ":": return .integer(try number(rest))
        case "$":
            let count = try number(rest)
            guard count >= 0 else { return .null }
            let bytes = try read(count: count + 2)
            return .text(String(decoding: bytes.dropLast(2), as: UTF8.self))
        case "*":
            let count = try number(rest)
            guard count >= 0 else { return .null }
            var elements: [TestReply] = []
            for _ in 0..<count { elements.append(try readReply()) }
            return .array(elements)
        default:
            throw TestSupportError("Not RESP2: \(line)")
        }
    }

    private func number(_ text: String) throws(TestSupportError) -> Int {
        guard let number = Int(text) else { throw TestSupportError("Not a number: \(text)") }
        return number
    }

    private func readLine() throws(TestSupportError) -> String {
        while true {
            if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
                let line = unread[..<end].dropLast()
                unread = unread[(end + 1)...]
                return String(decoding: line, as: UTF8.self)
            }
            try fill()
        }
    }

    private func read(count: Int) throws(TestSupportError) -> ArraySlice<UInt8> {
        while unread.count < count { try fill() }
        defer { unread = unread.dropFirst(count) }
        return unread.prefix(count)
    }

    private func fill() throws(TestSupportError) {
        guard POSIX.waitReadable(socket, milliseconds: patience) else {
            throw TestSupportError("The server did not answer within \(patience) ms.")
        }
        let part = try POSIX.receive(from: socket)
        guard !part.isEmpty else { throw TestSupportError("The server closed the test's own connection.") }
        unread += part
    }
}

/// Ports of 127.0.0.1.
package enum LoopbackPort {
    static func address(_ port: UInt16) -> sockaddr_in {
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_port = port.bigEndian
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        return address
    }

    /// A port that was free a moment ago. Someone else may take it before it is used.
    ///
    /// Below those that systems give to outgoing connections: the port of a server that is down for a moment would
    /// otherwise sooner or later be somebody's.
    package static func findFree() throws(TestSupportError) -> UInt16 {
        for _ in 0..<100 {
            let candidate = UInt16.random(in: 10_240..<32_768)
            if try isFree(candidate) { return candidate }
        }
        throw TestSupportError("No free loopback port in 100 attempts.")
    }

    private static func isFree(_ port: UInt16) throws(TestSupportError) -> Bool {
        #if canImport(Darwin)
            let probe = Darwin.socket(AF_INET, POSIX.streamSocket, 0)
        #else
            let probe = Glibc.socket(AF_INET, POSIX.streamSocket, 0)
        #endif
        guard probe >= 0 else { throw .system("socket") }
        defer { close(probe) }
        var address = address(port)
        return withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(probe, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
            }
        }
    }
}
