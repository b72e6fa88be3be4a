#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// A program of ours that runs beside the tests, and never outlives them, however they end.
package final class SupervisedProcess: Sendable {
    private let supervisor: ProcessSupervisor

    /// - Parameter arguments: without blanks.
    package init(_ program: String, _ arguments: [String]) throws {
        let folder = try makeTemporaryDirectory("process")
        do {
            supervisor = try ProcessSupervisor(folder: folder)
            // The path of a build may have blanks.
            guard symlink(program, "\(folder)/program") == 0 else { throw TestSupportError.system("symlink") }
            try supervisor.start("\(folder)/program", arguments)
        } catch {
            removeRecursively(folder)
            throw error
        }
    }

    deinit {
        supervisor.close()
    }

    /// To look at, not to signal: use the functions below. 0 once its end has been seen.
    package var processIdentifier: pid_t { supervisor.child }

    /// What it has written to its standard output and error.
    package var output: String { (try? POSIX.readFile("\(supervisor.folder)/log")) ?? "" }

    /// SIGSTOP. Returns when every thread has stopped: on a busy machine, some go on for a while after the signal was sent.
    package func pause() async throws {
        try supervisor.signal("STOP")
        #if os(Linux)
            let tasks = "/proc/\(supervisor.child)/task"
            try await waitUntil("all threads have stopped") {
                try entries(of: tasks).allSatisfy { task in
                    // "pid (name) state ..."; a thread that has just ended has no file any more.
                    guard let status = try? POSIX.readFile("\(tasks)/\(task)/stat") else { return true }
                    return status.split(separator: ")").last?.hasPrefix(" T") ?? true
                }
            }
        #endif
    }

    package func resume() throws { try supervisor.signal("CONT") }
    package func kill() throws { try supervisor.signal("KILL") }

    /// Its exit status, or 128 and the signal; `nil` when `limit` passes first.
    package func waitForExit(within limit: Duration = .seconds(60)) async throws -> CInt? {
        let deadline = ContinuousClock.now + limit
        while ContinuousClock.now < deadline {
            // In short pieces, so that signals can be sent meanwhile.
            let status = try await RedisTestServer.blocking { [supervisor] in
                try supervisor.waitForExit(within: .milliseconds(20))
            }
            if let status { return status }
        }
        return nil
    }

    /// Kills it if it still runs, and removes what it wrote.
    package func close() {
        supervisor.close()
    }

    /// A program that is built beside the one that runs now.
    package static func sibling(_ name: String) throws -> String {
        #if canImport(Darwin)
            let arguments = CommandLine.arguments
            if let option = arguments.firstIndex(of: "--test-bundle-path"), option + 1 < arguments.count {
                let bundle = arguments[option + 1].components(until: ".xctest")
                return "\(bundle)/\(name)"
            }
            var size: UInt32 = 4096
            var buffer = [CChar](repeating: 0, count: Int(size))
            guard _NSGetExecutablePath(&buffer, &size) == 0 else { throw TestSupportError("Where am I?") }
            let path = String(decoding: buffer.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
        #else
            var buffer = [CChar](repeating: 0, count: 4096)
            let count = readlink("/proc/self/exe", &buffer, buffer.count)
            guard count > 0 else { throw TestSupportError.system("readlink /proc/self/exe") }
            let path = String(decoding: buffer.prefix(count).map { UInt8(bitPattern: $0) }, as: UTF8.self)
        #endif
        return "/" + path.split(separator: "/").dropLast().joined(separator: "/") + "/\(name)"
    }
}

#if canImport(Darwin)
    extension String {
        /// The folder that holds the first path component with this ending.
        fileprivate func components(until ending: String) -> String {
            "/" + split(separator: "/").prefix { !$0.hasSuffix(ending) }.joined(separator: "/")
        }
    }
#endif
