import Reactor
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// A scripted server in this process, for what a real one cannot be brought to do.
///
/// Listens on a loopback port; each connection runs the script on a thread of its own and is closed when it returns or
/// throws. ``stop()`` ends whatever still runs, and waits for it.
package final class FakePeer: Sendable {
    package typealias Script = @Sendable (FakePeerConnection) throws -> Void

    private struct State {
        var isStopped = false
        var running = 0
        var accepted = 0
        var sockets: Set<CInt> = []
        var waiters: [CheckedContinuation<Void, Never>] = []
    }

    package let port: UInt16
    private let listener: CInt
    private let script: Script
    private let state = Mutex(State())

    package init(_ script: @escaping Script) throws {
        self.script = script
        #if canImport(Darwin)
            listener = Darwin.socket(AF_INET, POSIX.streamSocket, 0)
        #else
            listener = Glibc.socket(AF_INET, POSIX.streamSocket, 0)
        #endif
        guard listener >= 0 else { throw TestSupportError.system("socket") }
        POSIX.harden(listener)
        var address = LoopbackPort.address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let descriptor = listener
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> CInt in
                guard bind(descriptor, generic, length) == 0, listen(descriptor, 512) == 0 else { return -1 }
                return getsockname(descriptor, generic, &length)
            }
        }
        guard status == 0 else { throw TestSupportError.system("listen") }
        port = UInt16(bigEndian: address.sin_port)
        start { $0.acceptLoop() }
    }

    /// Starts a peer, runs `body` with it, and stops it.
    package static func with<Result>(
        _ script: @escaping Script,
        isolation: isolated (any Actor)? = #isolation,
        _ body: (FakePeer) async throws -> Result
    ) async throws -> Result {
        let peer = try FakePeer(script)
        do {
            let result = try await body(peer)
            await peer.stop()
            return result
        } catch {
            await peer.stop()
            throw error
        }
    }

    package var url: String { "redis://127.0.0.1:\(port)" }

    /// How many connections were accepted so far.
    package var acceptedCount: Int { state.withLock { $0.accepted } }

    /// How many connections still run their script.
    package var runningCount: Int { state.withLock { $0.running - 1 } }

    /// Ends all connections, and returns when their scripts have returned.
    package func stop() async {
        state.withLock { state in
            state.isStopped = true
            shutdown(listener, CInt(SHUT_RDWR))
            for socket in state.sockets { shutdown(socket, CInt(SHUT_RDWR)) }
        }
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if state.running > 0 { state.waiters.append(continuation) }
                return state.running == 0
            }
            if isDone { continuation.resume() }
        }
    }

    private func start(_ body: @escaping @Sendable (FakePeer) -> Void) {
        state.withLock { $0.running += 1 }
        let status = Platform.startThread(toBlockIn: { [self] in
            body(self)
            let waiters = state.withLock { state in
                state.running -= 1
                guard state.running == 0 else { return [CheckedContinuation<Void, Never>]() }
                defer { state.waiters = [] }
                return state.waiters
            }
            for waiter in waiters { waiter.resume() }
        })
        precondition(status == 0, "No thread for a fake peer.")
    }

    private func acceptLoop() {
        defer { close(listener) }
        while true {
            let socket = accept(listener, nil, nil)
            if socket < 0 && errno == EINTR { continue }
            guard socket >= 0 else { return }
            POSIX.harden(socket)
            let (isWelcome, index) = state.withLock { state in
                guard !state.isStopped else { return (false, 0) }
                state.sockets.insert(socket)
                state.accepted += 1
                return (true, state.accepted)
            }
            guard isWelcome else {
                close(socket)
                return
            }
            start { $0.serve(socket, index: index) }
        }
    }

    private func serve(_ socket: CInt, index: Int) {
        let connection = FakePeerConnection(socket: socket, index: index)
        // A script that throws has met the end of its connection, which is what many of them wait for.
        try? script(connection)
        state.withLock { state in
            state.sockets.remove(socket)
            close(socket)
        }
    }
}

/// One accepted connection of a ``FakePeer``. Belongs to the thread of its script.
package final class FakePeerConnection {
    private let socket: CInt
    /// 1 for the peer's first connection, and so on.
    package let index: Int
    private var unread: ArraySlice<UInt8> = []

    init(socket: CInt, index: Int) {
        self.socket = socket
        self.index = index
    }

    /// Whatever one read returns.
    ///
    /// - Throws: at the end of the stream.
    package func readChunk() throws -> [UInt8] {
        if !unread.isEmpty {
            defer { unread = [] }
            return Array(unread)
        }
        let bytes = try POSIX.receive(from: socket, atMost: 1 << 20)
        guard !bytes.isEmpty else { throw TestSupportError("The client closed the connection.") }
        return bytes
    }

    /// One command, as the texts of its arguments.
    package func readCommand() throws -> [String] {
        let count = try readNumber(after: UInt8(ascii: "*"))
        return try (0..<count).map { _ in
            let length = try readNumber(after: UInt8(ascii: "$"))
            while unread.count < length + 2 { try fill() }
            defer { unread = unread.dropFirst(length + 2) }
            return String(decoding: unread.prefix(length), as: UTF8.self)
        }
    }

    /// Reads commands and throws them away, until the client closes.
    package func hang() throws {
        while true { _ = try readChunk() }
    }

    package func send(_ text: String) throws {
        try send(Array(text.utf8))
    }

    package func send(_ bytes: [UInt8]) throws {
        try POSIX.sendAll(bytes, to: socket)
    }

    /// Sends nothing more; the client can still send.
    package func halfClose() {
        shutdown(socket, CInt(SHUT_WR))
    }

    /// Makes the close that follows the script's end a reset.
    package func resetOnClose() {
        var option = linger(l_onoff: 1, l_linger: 0)
        setsockopt(socket, SOL_SOCKET, SO_LINGER, &option, socklen_t(MemoryLayout<linger>.size))
    }

    /// Sends each small piece at once, so that the client's reads are apart.
    package func disableDelay() {
        var on: CInt = 1
        setsockopt(socket, CInt(IPPROTO_TCP), TCP_NODELAY, &on, socklen_t(MemoryLayout<CInt>.size))
    }

    private func fill() throws {
        unread = unread + (try POSIX.receive(from: socket, atMost: 1 << 16).nonEmpty())
    }

    private func readNumber(after type: UInt8) throws -> Int {
        while true {
            if let end = unread.firstIndex(of: UInt8(ascii: "\n")) {
                let line = unread[..<end]
                guard line.first == type, let number = Int(String(decoding: line.dropFirst().dropLast(), as: UTF8.self))
                else { throw TestSupportError("That is no command.") }
                unread = unread[unread.index(after: end)...]
                return number
            }
            try fill()
        }
    }
}

extension [UInt8] {
    fileprivate func nonEmpty() throws -> [UInt8] {
        guard !isEmpty else { throw TestSupportError("The client closed the connection.") }
        return self
    }
}
