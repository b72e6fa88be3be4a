import Hiredis
import Synchronization

/// A TCP proxy in front of one server, which does to requests and replies what networks do.
///
/// It knows where requests and replies begin and end (RESP2 without pushes, or PostgreSQL's protocol without passwords),
/// and which reply belongs to which request. A rule for each direction says what happens to each of them; both may be
/// changed at any time. Within a connection order is kept, as TCP keeps it: what stands behind something held waits, and
/// behind something dropped all is lost.
///
/// One thread, gone with ``stop()`` or with the last reference.
package final class FaultProxy: Sendable {
    /// The scripts of a lock client, in the order in which it loads them.
    package enum Script: Int, Sendable, CaseIterable {
        case acquire, confirm, extend, release
    }

    package enum Language: Sendable {
        case redis, postgreSQL
    }

    package struct Request: Sendable {
        /// 1 for the first request that came, whatever the connection.
        package let number: Int
        /// 1 for the proxy's first connection.
        package let connection: Int
        /// What the client called itself with `CLIENT SETNAME`.
        package let client: String
        /// Of PostgreSQL the statements' texts, each before its parameters.
        package let arguments: [String]
        /// The lock script that is asked for.
        package let script: Script?
        /// When it had come in completely.
        package let at: ContinuousClock.Instant

        /// The owner value: the script's first argument.
        package var owner: String? {
            guard script != nil, let keys = Int(arguments[2]), arguments.count > 3 + keys else { return nil }
            return arguments[3 + keys]
        }
    }

    package enum Verdict: Sendable {
        case pass
        /// Waits for ``release(_:where:)``.
        case hold
        case delay(Duration)
        /// Swallowed, with all that follows on this connection in this direction.
        case drop
        /// A request goes to the server twice; the second reply is swallowed.
        case duplicate
        /// Swallowed, and the connection is closed on both sides.
        case cut
        /// As ``cut``, with RST instead of FIN.
        case reset
    }

    package enum Direction: Int, Sendable {
        case requests, replies
    }

    package typealias Rule = @Sendable (Request) -> Verdict

    /// What has happened so far.
    package struct Seen: Sendable {
        /// Every request that came, handshakes included, whatever was done with it.
        package var requests: [Request] = []
        /// The requests that the server has answered, in the order of the answers, whatever was done with those.
        package var replies: [Request] = []
        package var connections = 0
        package var openConnections = 0
        package var heldRequests: [Request] = []
        package var heldReplies: [Request] = []

        package func requests(_ script: Script) -> [Request] { requests.filter { $0.script == script } }
        package func replies(_ script: Script) -> [Request] { replies.filter { $0.script == script } }
    }

    private let loop: FaultProxyLoop
    package let port: UInt16

    /// - Parameter target: the server's port on this machine. The server need not run yet.
    package init(to target: UInt16, speaking language: Language = .redis) throws {
        let (listener, port) = try LoopbackPort.listen()
        self.port = port
        loop = try FaultProxyLoop(listener: listener, target: target, language: language)
    }

    deinit {
        loop.end()
    }

    /// Starts a proxy, runs `body` with it, and stops it.
    package static func with<Result>(
        to target: UInt16,
        speaking language: Language = .redis,
        isolation: isolated (any Actor)? = #isolation,
        _ body: (FaultProxy) async throws -> Result
    ) async throws -> Result {
        let proxy = try FaultProxy(to: target, speaking: language)
        do {
            let result = try await body(proxy)
            await proxy.stop()
            return result
        } catch {
            await proxy.stop()
            throw error
        }
    }

    package var url: String { "redis://127.0.0.1:\(port)" }
    package var seen: Seen { loop.state.withLock { $0.seen } }

    // MARK: Conditions

    /// What happens from now on. Does not change the fate of what is held or delayed.
    package func set(_ direction: Direction, _ rule: @escaping Rule) {
        loop.change { $0.rules[direction.rawValue] = rule }
    }

    package func set(_ direction: Direction, _ verdict: Verdict) {
        set(direction) { _ in verdict }
    }

    /// What happens to one kind of script; everything else passes.
    package func set(_ direction: Direction, _ script: Script, _ verdict: Verdict) {
        set(direction) { $0.script == script ? verdict : .pass }
    }

    /// Everything passes from now on, and what is held goes.
    package func heal() {
        loop.change { state in
            state.rules = FaultProxyState.harmless
            state.slices = [nil, nil]
        }
        release(.requests)
        release(.replies)
    }

    /// Sends in pieces of this many bytes; `nil` for as much as there is.
    package func setSlices(_ direction: Direction, of size: Int?) {
        loop.change { $0.slices[direction.rawValue] = size }
    }

    /// Lets go what is held, if the condition is true for it and nothing else before it is held.
    package func release(_ direction: Direction, where condition: (Request) -> Bool = { _ in true }) {
        loop.change { state in
            for link in state.links { link.release(direction, where: condition) }
        }
    }

    /// Closes all connections on both sides.
    package func cut(reset: Bool = false) {
        loop.change { state in
            for link in state.links { link.end(reset: reset) }
        }
    }

    /// Closes the clients' side only: what they have sent is still on its way to the server, as after the crash of a client.
    package func cutClients() {
        loop.change { state in
            for link in state.links { link.clientLeft() }
        }
    }

    // MARK: Waiting

    /// Waits until what the proxy has seen meets the condition.
    ///
    /// - Throws: ``TestSupportError`` that names `what`, when `limit` passes first or the proxy stops.
    package func wait(
        for what: String, within limit: Duration = .seconds(30), until condition: @escaping @Sendable (Seen) -> Bool
    ) async throws {
        try await withCheckedThrowingContinuation { continuation in
            loop.change { state in
                state.waiters.append(
                    FaultProxyState.Waiter(
                        what: what, deadline: .now + limit, condition: condition, continuation: continuation))
            }
        }
    }

    package func waitForRequests(_ script: Script, count: Int) async throws {
        try await wait(for: "\(count) requests of \(script)") { $0.requests(script).count >= count }
    }

    /// The server has answered them; so it has executed them.
    package func waitForReplies(_ script: Script, count: Int) async throws {
        try await wait(for: "\(count) replies to \(script)") { $0.replies(script).count >= count }
    }

    package func waitForHeld(_ direction: Direction, count: Int) async throws {
        try await wait(for: "\(count) held \(direction)") { seen in
            (direction == .requests ? seen.heldRequests : seen.heldReplies).count >= count
        }
    }

    // MARK: End

    /// Closes everything, and returns when the thread has ended.
    package func stop() async {
        await loop.stop()
    }
}

extension LoopbackPort {
    /// A listening socket and its port.
    static func listen() throws(TestSupportError) -> (socket: CInt, port: UInt16) {
        let socket = try LoopbackPort.socket()
        var address = address(0)
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let status = withUnsafeMutablePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { generic -> CInt in
                guard bind(socket, generic, length) == 0, POSIX.listen(socket) == 0 else { return -1 }
                return getsockname(socket, generic, &length)
            }
        }
        guard status == 0 else {
            close(socket)
            throw .system("listen")
        }
        return (socket, UInt16(bigEndian: address.sin_port))
    }

    /// A socket that is connected to a port; `nil` when nobody listens there.
    static func connected(to port: UInt16) throws(TestSupportError) -> CInt? {
        let socket = try LoopbackPort.socket()
        var address = address(port)
        let status = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
        guard status == 0 else {
            close(socket)
            return nil
        }
        return socket
    }

    private static func socket() throws(TestSupportError) -> CInt {
        #if canImport(Darwin)
            let descriptor = Darwin.socket(AF_INET, POSIX.streamSocket, 0)
        #else
            let descriptor = Glibc.socket(AF_INET, POSIX.streamSocket, 0)
        #endif
        guard descriptor >= 0 else { throw .system("socket") }
        POSIX.harden(descriptor)
        return descriptor
    }
}

extension POSIX {
    fileprivate static func listen(_ socket: CInt) -> CInt {
        #if canImport(Darwin)
            Darwin.listen(socket, 512)
        #else
            Glibc.listen(socket, 512)
        #endif
    }
}
