import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// Runs one program at a time in the background, and takes it along when this process ends, however it ends.
///
/// The program is the child of a small shell, whose standard input is a socket from here. The kernel closes the socket
/// when this process dies, also by SIGKILL; the shell then kills its child and removes the folder. Signals are sent by
/// that shell alone and only to a child that it has not reaped, so that a reused process id can never be hit.
package final class ProcessSupervisor: Sendable {
    private struct State {
        /// -1 when closed.
        var control: CInt
        /// The reading end of a fifo that the program holds open: its end of file is the program's end. -1 when none runs.
        var lifeline: CInt = -1
        var shell: pid_t
        var child: pid_t = 0
    }

    package let folder: String
    private let state: Mutex<State>

    /// `read` is a builtin that does not reap children, so `$pid` stays taken until `wait`.
    private static let script = """
        trap '' INT HUP TERM QUIT
        folder=$1
        last=$2
        pid=
        while read -r word rest; do
            case $word in
            START)
                # Emptied here, not by the child: whoever is answered must not read the last run's log.
                : >"$folder/log"
                exec 3>"$folder/lifeline"
                # Split on purpose: the words hold no blanks.
                $rest </dev/null >"$folder/log" 2>&1 &
                pid=$!
                exec 3>&-
                echo "$pid"
                ;;
            REAP)
                wait "$pid"
                echo "$?"
                pid=
                ;;
            CHILDREN)
                pkill -"$rest" -P "$pid"
                echo "$?"
                ;;
            *)
                kill -s "$word" "$pid"
                echo "$?"
                ;;
            esac
        done
        if [ -n "$pid" ]; then
            kill -s "$last" "$pid"
            # A stopped process hears of it only when it is woken.
            kill -s CONT "$pid"
            wait "$pid"
        fi
        rm -rf "$folder"
        """

    /// - Parameters:
    ///   - folder: belongs to the supervisor from here on. It is removed in the end.
    ///   - lastSignal: what ends the program in the end. `KILL`, unless the program must clean up behind itself, and can be
    ///     trusted to do so at once.
    package init(folder: String, lastSignal: String = "KILL") throws(TestSupportError) {
        self.folder = folder
        guard mkfifo("\(folder)/lifeline", 0o600) == 0 else { throw .system("mkfifo") }
        var ends: [CInt] = [-1, -1]
        guard socketpair(AF_UNIX, POSIX.streamSocket, 0, &ends) == 0 else { throw .system("socketpair") }
        for end in ends { POSIX.harden(end) }
        defer { close_(ends[1]) }
        do {
            let shell = try Self.spawnShell(
                arguments: ["sh", "-c", Self.script, "sh", folder, lastSignal], stream: ends[1])
            state = Mutex(State(control: ends[0], shell: shell))
        } catch {
            close_(ends[0])
            throw error
        }
    }

    deinit {
        close()
    }

    /// The running program's process id, 0 when there is none.
    package var child: pid_t { state.withLock { $0.child } }

    /// Starts a program; neither its path nor an argument may contain blanks.
    package func start(_ program: String, _ arguments: [String]) throws(TestSupportError) {
        try state.withLock { state throws(TestSupportError) in
            guard state.child == 0 else { throw TestSupportError("The program runs already.") }
            let lifeline = open("\(folder)/lifeline", O_RDONLY | O_NONBLOCK | O_CLOEXEC)
            guard lifeline >= 0 else { throw .system("open lifeline") }
            state.lifeline = lifeline
            state.child = try Self.ask("START \(([program] + arguments).joined(separator: " "))", state.control)
        }
    }

    /// Sends a signal by its name without `SIG`.
    package func signal(_ name: String) throws(TestSupportError) {
        try state.withLock { state throws(TestSupportError) in
            guard state.child != 0 else { throw TestSupportError("No program runs that could get SIG\(name).") }
            _ = try Self.ask(name, state.control)
        }
    }

    /// Sends a signal to the program's children, if it has any.
    package func signalChildren(_ name: String) throws(TestSupportError) {
        try state.withLock { state throws(TestSupportError) in
            guard state.child != 0 else { throw TestSupportError("No program runs that could have children.") }
            _ = try Self.ask("CHILDREN \(name)", state.control)
        }
    }

    /// Waits for the program's end. Nil when `limit` passes first, its exit status (128 + n for a signal) otherwise.
    package func waitForExit(within limit: Duration) throws(TestSupportError) -> CInt? {
        try state.withLock { state throws(TestSupportError) -> CInt? in
            guard state.child != 0 else { throw TestSupportError("No program runs that could end.") }
            guard POSIX.waitReadable(state.lifeline, milliseconds: CInt(limit.milliseconds)) else { return nil }
            close_(state.lifeline)
            state.lifeline = -1
            state.child = 0
            return try Self.ask("REAP", state.control)
        }
    }

    /// Kills what runs, removes the folder, and returns when both is done.
    package func close() {
        state.withLock { state in
            guard state.control >= 0 else { return }
            close_(state.control)
            state.control = -1
            if state.lifeline >= 0 { close_(state.lifeline) }
            state.lifeline = -1
            state.child = 0
            var status: CInt = 0
            while waitpid(state.shell, &status, 0) < 0 && errno == EINTR {}
        }
    }

    private static func ask(_ line: String, _ control: CInt) throws(TestSupportError) -> CInt {
        guard control >= 0 else { throw TestSupportError("The server was cleaned up already.") }
        try POSIX.sendAll(Array("\(line)\n".utf8), to: control)
        var answer: [UInt8] = []
        while answer.last != UInt8(ascii: "\n") {
            guard POSIX.waitReadable(control, milliseconds: 30_000) else {
                throw TestSupportError("The supervising shell does not answer to \(line).")
            }
            let part = try POSIX.receive(from: control, atMost: 64)
            guard !part.isEmpty else { throw TestSupportError("The supervising shell is gone.") }
            answer += part
        }
        guard let number = CInt(String(decoding: answer.dropLast(), as: UTF8.self)) else {
            throw TestSupportError("The supervising shell answered nonsense to \(line).")
        }
        return number
    }

    /// The shell gets `stream` as its standard input and output, and no other descriptor of ours: a server that
    /// inherited a client's socket would keep the connection open after the client closed it. A group of its own: a Ctrl-C in
    /// the terminal is for the tests; the server follows them.
    private static func spawnShell(arguments: [String], stream: CInt) throws(TestSupportError) -> pid_t {
        try POSIX.spawn("/bin/sh", arguments, input: stream, output: stream, isQuiet: true)
    }
}

/// `close(2)`, where a method of the same name is nearer.
private func close_(_ descriptor: CInt) {
    close(descriptor)
}
