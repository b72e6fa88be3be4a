import Dispatch

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// A private PostgreSQL on a free loopback port and a Unix socket, with a folder of its own, gone at the latest with this
/// process.
///
/// Its superuser is `postgres`, who needs no password. Whoever logs in as `guarded` needs one, and must be created by the test.
/// PostgreSQL refuses to run as root; for root it runs as the user `postgres` or, where there is none, `nobody`.
///
/// All calls block for as long as a local server takes, and may come from any thread.
package final class PostgreSQLTestCluster: Sendable {
    package struct Options: Sendable {
        /// Whether what was committed survives a crash of the machine. A crash of the server alone it survives always.
        package var isDurable = false
        /// Whether it takes encrypted connections, with a certificate of its own for `localhost`. That of somebody else is
        /// `other.crt` in the cluster's folder.
        package var isEncrypted = false
        /// Further lines of `postgresql.conf`. They come last and win.
        package var configuration: [String] = []

        package init() {}
    }

    package let port: UInt16
    /// The server's folder, and that of its socket.
    package let folder: String
    private let supervisor: ProcessSupervisor
    /// The folder of its programs.
    package let programs: String
    private let user: ServerUser?

    private static let portAttempts = 20

    /// One for all tests of this process, each with a schema or a database of its own.
    package static let shared = Task { try await PostgreSQLTestCluster.started() }

    /// Makes a cluster, starts it and waits until it takes connections.
    package init(_ options: Options = Options()) throws {
        programs = try Self.findPrograms()
        user = getuid() == 0 ? try ServerUser() : nil
        folder = try makeTemporaryDirectory("pg")
        do {
            supervisor = try ProcessSupervisor(folder: folder, lastSignal: "QUIT")
        } catch {
            removeRecursively(folder)
            throw error
        }
        try user?.own(folder)
        try Self.initialize(supervisor, user, programs)
        if options.isEncrypted { try Self.makeCertificates(supervisor, user) }
        var attempt = 1
        while true {
            let candidate = try LoopbackPort.findFree()
            let lines = Self.configuration(options, folder: folder, port: candidate)
            try POSIX.writeFile(lines, to: "\(folder)/data/postgresql.conf")
            try POSIX.writeFile(Self.hostBasedAccess, to: "\(folder)/data/pg_hba.conf")
            for file in ["postgresql.conf", "pg_hba.conf"] { try user?.own("\(folder)/data/\(file)") }
            switch try Self.start(supervisor, user, programs) {
            case .ready:
                port = candidate
                return
            case .portTaken where attempt < Self.portAttempts: attempt += 1
            case .portTaken: throw TestSupportError("No free loopback port in \(attempt) attempts.")
            }
        }
    }

    /// Starts a cluster without taking a thread from the tests that run meanwhile. The caller cleans up.
    package static func started(_ options: Options = Options()) async throws -> PostgreSQLTestCluster {
        try await withCheckedThrowingContinuation { continuation in
            DispatchQueue(label: "postgresql").async {
                continuation.resume(with: Swift.Result { try PostgreSQLTestCluster(options) })
            }
        }
    }

    /// Starts a cluster, runs `body` with it, and cleans up.
    package static func with<Result>(
        _ options: Options = Options(),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (PostgreSQLTestCluster) async throws -> Result
    ) async throws -> Result {
        let cluster = try await started(options)
        defer { cluster.cleanUp() }
        return try await body(cluster)
    }

    deinit {
        cleanUp()
    }

    // MARK: Addresses

    /// By TCP, as the superuser.
    package var url: String { url(user: "postgres") }

    /// By TCP. The parts are not percent-encoded here.
    package func url(user: String, password: String? = nil, database: String = "postgres") -> String {
        "postgresql://\(user)\(password.map { ":\($0)" } ?? "")@127.0.0.1:\(port)/\(database)"
    }

    /// By the Unix socket, as the superuser.
    package var socketURL: String { "host=\(folder) port=\(port) user=postgres dbname=postgres" }

    /// The postmaster's process id; 0 while none runs.
    package var processIdentifier: pid_t { supervisor.child }

    /// What the server has logged since it was last started.
    package var log: String { (try? POSIX.readFile("\(folder)/log")) ?? "" }

    // MARK: Life

    /// SIGQUIT: connections are cut, and nothing is written any more. Returns when all of it is gone.
    package func kill() throws {
        try end(with: "QUIT")
    }

    /// SIGINT: connections are cut after a last word, and the data are written.
    package func terminate() throws {
        try end(with: "INT")
    }

    /// Starts the server again with the same data, after killing it if it runs.
    package func restart() throws {
        try kill()
        guard case .ready = try Self.start(supervisor, user, programs) else {
            throw TestSupportError("Someone else took port \(port) while the server was down.")
        }
    }

    /// SIGSTOP to the server and all its sessions: connections stay open and nobody answers.
    package func pause() throws {
        try supervisor.signal("STOP")
        try supervisor.signalChildren("STOP")
    }

    /// SIGCONT.
    package func resume() throws {
        try supervisor.signalChildren("CONT")
        try supervisor.signal("CONT")
    }

    /// Kills the server and removes its folder, once. Happens by itself when the object goes away.
    package func cleanUp() {
        supervisor.close()
    }

    private func end(with signal: String) throws {
        guard supervisor.child != 0 else { return }
        try supervisor.signal(signal)
        try supervisor.signal("CONT")
        guard try supervisor.waitForExit(within: .seconds(30)) != nil else {
            throw TestSupportError("The server ignores SIG\(signal).")
        }
    }
}

// MARK: - Starting

extension PostgreSQLTestCluster {
    private enum Start {
        case ready
        case portTaken
    }

    /// Who runs the server where root must not.
    private struct ServerUser {
        let name: String
        let uid: uid_t
        let gid: gid_t

        init() throws(TestSupportError) {
            for name in ["postgres", "nobody"] {
                guard let entry = getpwnam(name) else { continue }
                self.name = name
                (uid, gid) = (entry.pointee.pw_uid, entry.pointee.pw_gid)
                return
            }
            throw TestSupportError("PostgreSQL refuses to run as root, and there is neither `postgres` nor `nobody`.")
        }

        func own(_ path: String) throws(TestSupportError) {
            guard chown(path, uid, gid) == 0 else { throw .system("chown \(path)") }
        }
    }

    /// `setpriv` becomes the program: the process that is supervised is the server itself.
    private static func command(_ program: String, _ arguments: [String], _ user: ServerUser?) -> (String, [String]) {
        guard let user else { return (program, arguments) }
        return ("setpriv", ["--reuid", "\(user.uid)", "--regid", "\(user.gid)", "--clear-groups", program] + arguments)
    }

    private static func initialize(
        _ supervisor: ProcessSupervisor, _ user: ServerUser?, _ programs: String
    ) throws(TestSupportError) {
        let (program, arguments) = command(
            "\(programs)/initdb",
            [
                "-D", "\(supervisor.folder)/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C",
                "--no-sync",
            ], user)
        try run(program, arguments, supervisor)
    }

    private static func makeCertificates(
        _ supervisor: ProcessSupervisor, _ user: ServerUser?
    ) throws(TestSupportError) {
        let folder = supervisor.folder
        for (key, certificate) in [("data/server.key", "data/server.crt"), ("other.key", "other.crt")] {
            let (program, arguments) = command(
                "openssl",
                [
                    "req", "-new", "-x509", "-days", "2", "-nodes", "-newkey", "rsa:2048", "-subj", "/CN=localhost",
                    "-keyout", "\(folder)/\(key)", "-out", "\(folder)/\(certificate)",
                ], user)
            try run(program, arguments, supervisor)
        }
    }

    private static func run(
        _ program: String, _ arguments: [String], _ supervisor: ProcessSupervisor
    ) throws(TestSupportError) {
        try supervisor.start(program, arguments)
        let status = try supervisor.waitForExit(within: .seconds(120))
        guard status == 0 else {
            let log = (try? POSIX.readFile("\(supervisor.folder)/log")) ?? ""
            throw TestSupportError("\(program) ended with status \(status.map(String.init) ?? "none"):\n\(log)")
        }
    }

    private static func configuration(_ options: Options, folder: String, port: UInt16) -> String {
        var lines = [
            "listen_addresses = '127.0.0.1'", "port = \(port)", "unix_socket_directories = '\(folder)'",
            "max_connections = 100", "lc_messages = 'C'", "timezone = 'UTC'",
            // Nothing that outlives a server which was killed.
            "dynamic_shared_memory_type = mmap",
        ]
        if options.isEncrypted { lines.append("ssl = on") }
        if !options.isDurable { lines += ["fsync = off", "full_page_writes = off"] }
        return (lines + options.configuration).joined(separator: "\n") + "\n"
    }

    private static let hostBasedAccess = """
        local all all trust
        host all guarded 127.0.0.1/32 scram-sha-256
        host all all 127.0.0.1/32 trust

        """

    /// Returns when the server that was started takes connections.
    private static func start(
        _ supervisor: ProcessSupervisor, _ user: ServerUser?, _ programs: String
    ) throws -> Start {
        let (program, arguments) = command("\(programs)/postgres", ["-D", "\(supervisor.folder)/data"], user)
        try supervisor.start(program, arguments)
        let deadline = ContinuousClock.now + .seconds(60)
        while ContinuousClock.now < deadline {
            // Ends at once when the process does: a real signal. While it starts, this is the pace of looking.
            let status = try supervisor.waitForExit(within: .milliseconds(5))
            let log = try POSIX.readFile("\(supervisor.folder)/log")
            if let status {
                if log.contains("Address already in use") { return .portTaken }
                throw TestSupportError("postgres ended with status \(status):\n\(log)")
            }
            if log.contains("could not bind") { _ = try? supervisor.signal("QUIT") }
            if log.contains("database system is ready to accept connections") { return .ready }
        }
        throw TestSupportError("postgres does not start:\n\((try? POSIX.readFile("\(supervisor.folder)/log")) ?? "")")
    }

    /// Debian keeps the server's programs out of the `PATH`.
    private static func findPrograms() throws(TestSupportError) -> String {
        var folders: [String] = []
        for base in ["/usr/lib/postgresql", "/usr/pgsql"] {
            let versions = entries(of: base).compactMap { Int($0) }.sorted(by: >)
            folders += versions.map { "\(base)/\($0)/bin" }
        }
        for base in ["/opt/homebrew/opt", "/usr/local/opt"] {
            folders += entries(of: base).filter { $0.hasPrefix("postgresql") }.sorted(by: >).map { "\(base)/\($0)/bin" }
        }
        let path = getenv("PATH").map { String(cString: $0) } ?? ""
        folders += path.split(separator: ":").map(String.init)
        for folder in folders where access("\(folder)/postgres", X_OK) == 0 && access("\(folder)/initdb", X_OK) == 0 {
            return folder
        }
        throw TestSupportError("PostgreSQL's server is not installed: on Debian, apt-get install postgresql.")
    }

    private static func entries(of path: String) -> [String] {
        guard let folder = opendir(path) else { return [] }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            names.append(
                withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                    tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) {
                        String(cString: $0)
                    }
                })
        }
        return names
    }
}
