import CSpawn
import Synchronization

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// How the command ended.
package enum CommandEnd: Sendable, Hashable, CustomStringConvertible {
    case exited(Int32)
    case signalled(Int32)

    /// From the status that `waitpid` answers.
    init(waitStatus: Int32) {
        let signal = waitStatus & 0x7F
        self = signal == 0 ? .exited((waitStatus >> 8) & 0xFF) : .signalled(signal)
    }

    package var status: ExitStatus {
        switch self {
        case .exited(let code): ExitStatus(code: code)
        case .signalled(let signal): .signalled(signal)
        }
    }

    package var description: String {
        switch self {
        case .exited(let code): "exited with status \(code)"
        case .signalled(let signal): "was ended by signal \(signal)"
        }
    }
}

/// The one child process that `redislock run` supervises.
///
/// swift-subprocess, which the demonstration and the tests use, cannot start it: it closes every descriptor but the first
/// three (a make job server's among them), resets a SIGHUP that nohup has ignored, and has no parent-death signal.
package final class Command: Sendable {
    private enum State {
        case starting(pending: [Int32])
        case running(pid_t)
        case reaped
    }

    private let line: CommandLineBytes
    private let variables: [String]
    private let state = Mutex(State.starting(pending: []))

    /// - Parameter variables: `NAME=value` each, in place of what this process's environment has under these names.
    package init(_ line: CommandLineBytes, variables: [String]) {
        self.line = line
        self.variables = variables
    }

    /// Starts the command and reports its end from a thread of its own, which lives exactly as long as the command does:
    /// on Linux, the command gets SIGTERM when that thread ends before it, that is, when this process is killed.
    ///
    /// - Parameter remaining: how much longer it makes sense to start it. When that is nothing, `onFailure` gets ETIMEDOUT.
    package func start(
        remaining: @escaping @Sendable () -> Duration = { .seconds(86_400) },
        onEnd: @escaping @Sendable (CommandEnd) -> Void,
        onFailure: @escaping @Sendable (Int32) -> Void
    ) {
        let error = Thread.start {
            switch self.spawn(remaining) {
            case .failure(let error): onFailure(error.errno)
            case .success(let pid): onEnd(self.wait(for: pid))
            }
        }
        if error != 0 { onFailure(error) }
    }

    /// Sends a signal, at once or as soon as the command has started. Does nothing when it has ended.
    package func send(_ signal: Int32) {
        state.withLock { state in
            switch state {
            case .starting(let pending): state = .starting(pending: pending + [signal])
            // The process is not reaped while the lock is held, so the number is still its own.
            case .running(let pid): kill(pid, signal)
            case .reaped: break
            }
        }
    }

    private struct SpawnError: Error { let errno: Int32 }

    private func spawn(_ remaining: () -> Duration) -> Result<pid_t, SpawnError> {
        var pid: pid_t = 0
        // Before `remaining` is asked: a pause in between then makes it end earlier, not later.
        let now = cspawn_now()
        let latest = now + remaining().wholeMilliseconds * 1_000_000
        let error = withCStrings(line.words) { argv in
            withCStrings(variables.map { Array($0.utf8CString) }) { variables in
                cspawn_start(argv, variables, latest, &pid)
            }
        }
        guard error == 0 else { return .failure(SpawnError(errno: error)) }
        state.withLock { [pid] state in
            if case .starting(let pending) = state {
                for signal in pending { kill(pid, signal) }
            }
            state = .running(pid)
        }
        return .success(pid)
    }

    private func wait(for pid: pid_t) -> CommandEnd {
        var info = siginfo_t()
        while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        return state.withLock { state in
            var status: Int32 = 0
            while waitpid(pid, &status, 0) < 0, errno == EINTR {}
            state = .reaped
            return CommandEnd(waitStatus: status)
        }
    }
}

/// A program and its arguments as the bytes they were given in: file names need not be UTF-8.
package struct CommandLineBytes: Sendable {
    /// Each ends with a zero.
    let words: [[CChar]]

    /// What follows the first `--` of this process's own command line; `nil` when that is nothing.
    package init?(afterTerminatorOf argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>, count: Int32) {
        let words = (0..<Int(count)).compactMap { argv[$0] }.map { word in
            Array(UnsafeBufferPointer(start: word, count: strlen(word) + 1))
        }
        let terminator = Array("--".utf8CString)
        guard let index = words.firstIndex(of: terminator), index + 1 < words.count else { return nil }
        self.words = Array(words[(index + 1)...])
    }

    package init(_ program: String, _ arguments: String...) {
        words = ([program] + arguments).map { Array($0.utf8CString) }
    }

    /// The program's name or path, for sentences.
    package var program: String {
        String(decoding: words[0].dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }
}

/// Calls `body` with a C array of C strings that ends with a null pointer, as exec wants it. It owns the copies.
private func withCStrings<Result>(
    _ strings: [[CChar]],
    _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    let pointers = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(capacity: strings.count + 1)
    for (index, string) in strings.enumerated() { (pointers + index).initialize(to: strdup(string)) }
    (pointers + strings.count).initialize(to: nil)
    defer {
        for index in strings.indices { free(pointers[index]) }
        pointers.deallocate()
    }
    return body(pointers)
}
