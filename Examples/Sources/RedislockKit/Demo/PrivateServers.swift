import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// Redis servers that belong to whoever started them: on free loopback ports, in a folder under TMPDIR, gone with this process.
///
/// They are children of a small shell that reads its orders from a pipe of ours. When this process ends, also by SIGKILL, the
/// kernel closes the pipe; the shell then kills its children and removes the folder. It signals nothing but its own children
/// that it has not waited for, so no process of somebody else can be hit.
package actor PrivateServers {
    package struct Server: Sendable {
        let number: Int
        var port: Int
        /// 0 while it is dead.
        var process: Int

        package var url: String { "redis://127.0.0.1:\(port)" }
    }

    /// Everything that is written goes here; it is removed in the end.
    nonisolated let folder: String
    package private(set) var servers: [Server] = []
    private let orders: StandardInputWriter
    private var answers: [String] = []
    private var waiting: CheckedContinuation<Void, Never>?
    private var isOver = false

    /// Only builtins between `&` and `wait`: an external command would let the shell reap a child, whose number is then free.
    private static let script = """
        trap '' INT HUP TERM QUIT
        folder=$1
        while read -r word number port; do
            case $word in
            START)
                # Emptied here, not by the child: who is answered must not read the last run's log.
                : >"$folder/$number/log"
                redis-server --bind 127.0.0.1 --port "$port" --dir "$folder/$number" --save '' --appendonly no \\
                    --daemonize no </dev/null >"$folder/$number/log" 2>&1 &
                eval "process$number=$!"
                echo "$!"
                ;;
            KILL)
                eval "process=\\$process$number"
                kill -s KILL "$process"
                wait "$process"
                eval "process$number="
                echo "$?"
                ;;
            esac
        done
        for process in $process1 $process2 $process3 $process4 $process5 $process6 $process7 $process8 $process9; do
            kill -s KILL "$process"
            wait "$process"
        done
        rm -rf "$folder"
        """

    /// Starts `count` servers, at most 9, runs `body` and takes them away.
    package static func with<Result: Sendable>(
        _ count: Int, _ body: @Sendable (PrivateServers) async throws -> Result
    ) async throws -> Result {
        guard Files.isProgram("redis-server") else {
            throw Failure(
                .notFound, "there is no redis-server in PATH to start: install one, or name nodes with --node")
        }
        let folder = try Files.makeTemporaryFolder()
        var options = PlatformOptions()
        // A group of its own: Ctrl-C is for us, and the servers are needed until everything is in order.
        options.processGroupID = 0
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(10))]
        return try await Subprocess.run(
            .path("/bin/sh"), arguments: ["-c", script, "sh", folder], platformOptions: options,
            input: .inputWriter, output: .sequence, error: .discarded
        ) { execution in
            let servers = PrivateServers(folder: folder, orders: execution.standardInputWriter)
            async let replies: Void = servers.read(execution.standardOutput)
            let result: Swift.Result<Result, any Error>
            do {
                for number in 1...count { try await servers.add(number) }
                result = .success(try await body(servers))
            } catch {
                result = .failure(error)
            }
            try? await servers.orders.finish()
            await replies
            return try result.get()
        }.closureResult
    }

    private init(folder: String, orders: StandardInputWriter) {
        self.folder = folder
        self.orders = orders
    }

    // MARK: Orders

    private func add(_ number: Int) async throws {
        try Files.makeFolder("\(folder)/\(number)")
        for _ in 0..<20 {
            // Below the range that Linux gives to outgoing connections.
            let port = Int.random(in: 10_000..<32_000)
            if let process = try await start(number, port: port) {
                servers.append(Server(number: number, port: port, process: process))
                return
            }
        }
        throw Failure(.software, "no free port was found for a private redis-server")
    }

    /// SIGKILL. What the server knew is gone, for it writes nothing down.
    func kill(_ number: Int) async throws {
        guard servers[number - 1].process != 0 else { return }
        servers[number - 1].process = 0
        _ = try await order("KILL \(number)")
    }

    /// Starts a killed server again where it was, with nothing in it.
    func restart(_ number: Int) async throws {
        guard let process = try await start(number, port: servers[number - 1].port) else {
            throw Failure(.software, "node \(number) cannot come back: somebody else has taken its port")
        }
        servers[number - 1].process = process
    }

    /// `nil` when somebody else has the port.
    private func start(_ number: Int, port: Int) async throws -> Int? {
        guard let process = Int(try await order("START \(number) \(port)")) else {
            throw Failure(.software, "the private servers' shell answered nonsense")
        }
        let limit = ContinuousClock.now + .seconds(10)
        var log = ""
        while ContinuousClock.now < limit {
            // Its log, for a stranger on the same port would answer as well.
            log = Files.read("\(folder)/\(number)/log")
            if log.contains("Ready to accept connections") { return process }
            if log.contains("Address already in use") {
                _ = try await order("KILL \(number)")
                return nil
            }
            try await Task.sleep(for: .milliseconds(10), clock: .continuous)
        }
        let last = log.split(separator: "\n").last ?? "it says nothing"
        throw Failure(.software, "the private redis-server does not start: \(last)")
    }

    /// Sends one order and waits for the shell's answer. One at a time: nobody but the director gives any.
    private func order(_ line: String) async throws -> String {
        _ = try await orders.write(line + "\n")
        if answers.isEmpty, !isOver {
            await withCheckedContinuation { waiting = $0 }
        }
        guard !answers.isEmpty else { throw Failure(.software, "the private servers' shell is gone") }
        return answers.removeFirst()
    }

    private func read(_ output: SubprocessOutputSequence) async {
        do {
            for try await line in output.strings() {
                answers.append(line)
                waiting?.resume()
                waiting = nil
            }
        } catch {
            // Its end, however it came.
        }
        isOver = true
        waiting?.resume()
        waiting = nil
    }
}
