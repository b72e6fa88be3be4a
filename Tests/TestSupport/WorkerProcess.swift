import Foundation
import Synchronization

/// The program `reservation-worker` as a process of its own, that a test may stop and kill. It ends with this process: its
/// standard input does.
package final class WorkerProcess: Sendable {
    /// What it says, line by line. A line that was cut by its death is not a line.
    package let lines: AsyncStream<String>
    private let state: State

    /// Shared with the thread that reads: the process goes on when nobody holds this any more.
    private final class State: Sendable {
        struct Values {
            let pid: pid_t
            /// Our end of its standard input.
            let input: CInt
            /// From then on the id may be another process's.
            var isReaped = false
        }

        let values: Mutex<Values>

        init(_ values: Values) {
            self.values = Mutex(values)
        }

        /// Waits for its end and takes note of it.
        func reap() {
            let pid = values.withLock { $0.pid }
            Self.waitForEnd(of: pid)
            values.withLock { values in
                var status: CInt = 0
                while waitpid(values.pid, &status, 0) < 0, errno == EINTR {}
                values.isReaped = true
                close(values.input)
            }
        }

        /// Leaves it to be reaped.
        static func waitForEnd(of pid: pid_t) {
            var info = siginfo_t()
            while waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) != 0, errno == EINTR {}
        }
    }

    package init(_ arguments: [String]) throws {
        let program = try SupervisedProcess.sibling("reservation-worker")
        // Whoever is spoken to may be dead.
        _ = Foundation.signal(SIGPIPE, SIG_IGN)
        let input = try POSIX.makePipe()
        let output: (read: CInt, write: CInt)
        do {
            output = try POSIX.makePipe()
        } catch {
            for end in [input.read, input.write] { close(end) }
            throw error
        }
        defer { for end in [input.read, output.write] { close(end) } }
        let pid: pid_t
        do {
            pid = try POSIX.spawn(
                program, [program] + arguments, input: input.read, output: output.write, isQuiet: false)
        } catch {
            for end in [input.write, output.read] { close(end) }
            throw error
        }
        let state = State(.init(pid: pid, input: input.write))
        self.state = state
        let (lines, continuation) = AsyncStream.makeStream(of: String.self)
        self.lines = lines
        // One thread reads to the end of the process.
        Thread.detachNewThread {
            Self.read(output.read, into: continuation)
            close(output.read)
            state.reap()
            continuation.finish()
        }
    }

    private static func read(_ descriptor: CInt, into lines: AsyncStream<String>.Continuation) {
        var rest: [UInt8] = []
        while let bytes = try? POSIX.receive(from: descriptor), !bytes.isEmpty {
            rest += bytes
            while let end = rest.firstIndex(of: UInt8(ascii: "\n")) {
                lines.yield(String(decoding: rest[..<end], as: UTF8.self))
                rest.removeSubrange(...end)
            }
        }
    }

    /// Runs it to its end, and answers its last line.
    package static func run(_ arguments: String...) async throws -> String {
        let worker = try WorkerProcess(arguments)
        return await worker.lines.reduce("") { $1 }
    }

    package func signal(_ signal: CInt) {
        state.values.withLock { if !$0.isReaped { _ = Foundation.kill($0.pid, signal) } }
    }

    package func kill() {
        signal(SIGKILL)
        let (pid, isReaped) = state.values.withLock { ($0.pid, $0.isReaped) }
        if !isReaped { State.waitForEnd(of: pid) }
    }

    /// Asks it to come to an end by itself.
    package func say(_ line: String) {
        let bytes = Array((line + "\n").utf8)
        // A short line: the pipe takes it as a whole.
        state.values.withLock { if !$0.isReaped { _ = write($0.input, bytes, bytes.count) } }
    }
}
