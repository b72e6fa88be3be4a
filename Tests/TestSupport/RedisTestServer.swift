import Dispatch
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// A private `redis-server` on a free loopback port, with a folder of its own, gone at the latest with this process.
///
/// All calls block for the milliseconds that a local server takes, and may come from any thread.
package final class RedisTestServer: Sendable {
    package struct Options: Sendable {
        /// `requirepass`: the default user's password.
        package var password: String?
        /// ACL users as in `redis.conf`, without the word `user`: `"worker on >secret ~lock:* -@all +evalsha"`.
        package var users: [String] = []
        /// Listens on a Unix socket, too: ``RedisTestServer/unixSocketPath``.
        package var unixSocket = false
        /// Append-only file, written with every command: what was acknowledged survives ``RedisTestServer/kill()``.
        package var isPersistent = false
        /// As in `redis.conf`, such as `"2mb"`. An empty server holds about one megabyte: `"100kb"` is full from the start.
        package var maxMemory: String?
        package var maxMemoryPolicy: String?
        /// Starts as a replica of this server. Only of one without a password, unless `masterauth` is configured below.
        package var replicaOf: RedisTestServer?
        /// Further lines of `redis.conf`, such as `"notify-keyspace-events KEA"`. They come last and win.
        package var configuration: [String] = []

        package init() {}
    }

    package let options: Options
    package let port: UInt16
    /// The server's working folder.
    package let folder: String
    private let supervisor: ProcessSupervisor
    private let client = Mutex<RESPClient?>(nil)

    /// How often another port is tried when someone else takes the one that was found free.
    private static let portAttempts = 20
    private static let adminPassword = "test-support"

    /// Starts a server and waits until it answers.
    package init(_ options: Options = Options()) throws {
        self.options = options
        folder = try makeTemporaryDirectory()
        do {
            try POSIX.writeFile(Self.configuration(options, folder: folder), to: "\(folder)/redis.conf")
            supervisor = try ProcessSupervisor(folder: folder)
        } catch {
            removeRecursively(folder)
            throw error
        }
        var attempt = 1
        while true {
            let candidate = try LoopbackPort.findFree()
            switch try Self.start(supervisor, port: candidate) {
            case .ready:
                port = candidate
                return
            case .portTaken where attempt < Self.portAttempts: attempt += 1
            case .portTaken: throw TestSupportError("No free loopback port in \(attempt) attempts.")
            }
        }
    }

    /// Starts a server, runs `body` with it, and cleans up. Starting takes no thread from the tests that run meanwhile.
    package static func with<Result>(
        _ options: Options = Options(),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (RedisTestServer) async throws -> Result
    ) async throws -> Result {
        let server = try await started(options)
        defer { server.cleanUp() }
        return try await body(server)
    }

    /// Starts a server without taking a thread from the tests that run meanwhile. The caller cleans up.
    package static func started(_ options: Options = Options()) async throws -> RedisTestServer {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "redis-server").async {
                continuation.resume(with: Swift.Result { try RedisTestServer(options) })
            }
        }
    }

    deinit {
        cleanUp()
    }

    // MARK: Addresses

    /// `redis://127.0.0.1:port`, with the default user's password where one is set.
    package var url: String { url() }

    /// `redis://user:password@127.0.0.1:port/database`, of the parts given. The parts are not percent-encoded here.
    package func url(user: String = "", password: String? = nil, database: Int? = nil) -> String {
        let password = password ?? (user.isEmpty ? options.password : nil)
        let credentials = password.map { "\(user):\($0)@" } ?? ""
        return "redis://\(credentials)127.0.0.1:\(port)" + (database.map { "/\($0)" } ?? "")
    }

    /// Nothing listens there unless ``Options/unixSocket`` is set.
    package var unixSocketPath: String { "\(folder)/redis.sock" }

    /// The server's process id; 0 while none runs. To look at, not to signal: use the functions below.
    package var processIdentifier: pid_t { supervisor.child }

    /// What the server has logged since it was last started.
    package var log: String { (try? POSIX.readFile("\(folder)/log")) ?? "" }

    // MARK: Commands

    /// Sends one command as an administrator and returns the reply as `redis-cli` would print it.
    ///
    /// - Throws: ``TestSupportError`` with the server's words for an error reply, and when the server does not answer
    ///   within ten seconds. A command is never sent twice.
    @discardableResult
    package func command(_ arguments: String...) throws -> String {
        let reply = try send(arguments)
        if case .error(let message) = reply { throw TestSupportError(message) }
        return reply.description
    }

    /// Like ``command(_:)``, but keeps the reply's shape; an error reply is a value.
    package func send(_ arguments: [String]) throws -> TestReply {
        try client.withLock { slot in
            if slot?.isStale ?? true { slot = try connect() }
            guard let client = slot else { throw TestSupportError("Not connected.") }
            // Not to be used again after a failure, nor after a command that may have killed the very connection it
            // came by, which the server closes a moment later.
            slot = nil
            let reply = try client.send(arguments)
            if !arguments.starts(with: ["CLIENT", "KILL"]) { slot = client }
            return reply
        }
    }

    /// How often each command was called since the start or `CONFIG RESETSTAT`, by its lower-case name.
    ///
    /// Commands inside scripts count, as well as this fixture's own (`info`, and `auth` and `client|setname` once).
    package func commandCounts() throws -> [String: Int] {
        var counts: [String: Int] = [:]
        for line in try command("INFO", "commandstats").split(whereSeparator: \.isNewline) {
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2, parts[0].hasPrefix("cmdstat_") else { continue }
            let calls = parts[1].split(separator: ",").first { $0.hasPrefix("calls=") }
            counts[String(parts[0].dropFirst("cmdstat_".count))] = calls.flatMap { Int($0.dropFirst("calls=".count)) }
        }
        return counts
    }

    // MARK: Life

    /// SIGTERM, and waits until the process is gone. Nothing happens when none runs.
    package func terminate() throws {
        try end(with: "TERM")
    }

    /// SIGKILL, and waits until the process is gone. Nothing happens when none runs.
    package func kill() throws {
        try end(with: "KILL")
    }

    /// Starts the server again on the same port and in the same folder, after killing it if it runs.
    package func restart() throws {
        try kill()
        guard case .ready = try Self.start(supervisor, port: port) else {
            throw TestSupportError("Someone else took port \(port) while the server was down.")
        }
    }

    /// SIGSTOP: connections stay open and nobody answers.
    package func pause() throws {
        try supervisor.signal("STOP")
    }

    /// SIGCONT.
    package func resume() throws {
        try supervisor.signal("CONT")
    }

    /// Kills the server and removes its folder, once. Happens by itself when the object goes away.
    package func cleanUp() {
        client.withLock { $0 = nil }
        supervisor.close()
    }

    private func end(with signal: String) throws {
        client.withLock { $0 = nil }
        guard supervisor.child != 0 else { return }
        try supervisor.signal(signal)
        // A paused process hears SIGTERM only when it is woken.
        if signal != "KILL" { try supervisor.signal("CONT") }
        guard try supervisor.waitForExit(within: .seconds(30)) != nil else {
            throw TestSupportError("The server ignores SIG\(signal).")
        }
    }
}

// MARK: - Starting

extension RedisTestServer {
    private enum Start {
        case ready
        case portTaken
    }

    /// Nobody knows the fixture's own user but the fixture, so a test may restrict the default user as it likes.
    private var needsAdmin: Bool { options.password != nil || !options.users.isEmpty }

    private func connect() throws(TestSupportError) -> RESPClient {
        let client = try RESPClient(port: port)
        if needsAdmin {
            let reply = try client.send(["AUTH", "test-support", Self.adminPassword])
            guard reply == .text("OK") else { throw TestSupportError("AUTH: \(reply)") }
        }
        _ = try client.send(["CLIENT", "SETNAME", "test-support"])
        return client
    }

    private static func configuration(_ options: Options, folder: String) -> String {
        var lines = [
            "bind 127.0.0.1", "dir \(folder)", "daemonize no", "save \"\"", "shutdown-timeout 0",
            // A replica's first synchronisation should not wait for company.
            "repl-diskless-sync-delay 0",
            "appendonly \(options.isPersistent ? "yes" : "no")", "appendfsync always",
        ]
        if let password = options.password { lines.append("requirepass \(password)") }
        if options.password != nil || !options.users.isEmpty {
            lines.append("user test-support on >\(adminPassword) ~* &* +@all")
        }
        lines += options.users.map { "user \($0)" }
        if options.unixSocket { lines += ["unixsocket \(folder)/redis.sock", "unixsocketperm 700"] }
        if let limit = options.maxMemory { lines.append("maxmemory \(limit)") }
        if let policy = options.maxMemoryPolicy { lines.append("maxmemory-policy \(policy)") }
        if let master = options.replicaOf { lines.append("replicaof 127.0.0.1 \(master.port)") }
        lines += options.configuration
        return lines.joined(separator: "\n") + "\n"
    }

    /// Returns when the process that was started, and no other, listens on the port and answers.
    private static func start(_ supervisor: ProcessSupervisor, port: UInt16) throws -> Start {
        try supervisor.start("redis-server", ["\(supervisor.folder)/redis.conf", "--port", "\(port)"])
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            // Ends at once when the process does: a real signal. While it starts, this is the pace of looking.
            if let status = try supervisor.waitForExit(within: .milliseconds(2)) {
                let log = (try? POSIX.readFile("\(supervisor.folder)/log")) ?? ""
                if log.contains("Address already in use") { return .portTaken }
                throw TestSupportError("redis-server ended with status \(status):\n\(log)")
            }
            // Only the log tells our server from a stranger's on the same port.
            guard try POSIX.readFile("\(supervisor.folder)/log").contains("Ready to accept connections") else {
                continue
            }
            guard let client = try? RESPClient(port: port), let reply = try? client.send(["PING"]) else { continue }
            if case .error(let message) = reply, message.hasPrefix("LOADING") { continue }
            return .ready
        }
        throw TestSupportError(
            "redis-server does not answer:\n\((try? POSIX.readFile("\(supervisor.folder)/log")) ?? "")")
    }
}
