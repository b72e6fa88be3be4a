#if os(Linux)
    import Dispatch
    import Glibc
    import Synchronization

    /// A server's wall clock in the hand of a test. Linux only.
    ///
    /// A small library, compiled once per process, is preloaded into the server; it adds to the time what a mapped file says.
    package final class ClockShim: Sendable {
        private let folder: String
        private let library: String
        /// Offset in ns, rate in parts per billion, and the instant since when the rate counts.
        private let settings: Mutex<[Int64]>

        package init() throws {
            library = try Self.compiledLibrary.get()
            folder = try makeTemporaryDirectory("clock-shim")
            settings = Mutex([0, 0, 0])
            try POSIX.writeFile(String(repeating: "\0", count: 24), to: path)
        }

        deinit {
            removeRecursively(folder)
        }

        private var path: String { "\(folder)/settings" }

        /// Makes the server that is started with these options run by this clock.
        package func preload(into options: inout RedisTestServer.Options) {
            options.preload = (library, ["CLOCK_SHIM=\(path)"])
        }

        /// Lets the clock jump, forward or back.
        package func jump(by offset: Duration) throws {
            try change { $0[0] += offset.nanoseconds }
        }

        /// From now on the clock runs faster than the true one by this part, 0.08 for 8 %.
        package func setRate(_ rate: Double) throws {
            try change { settings in
                var now = timespec()
                clock_gettime(CLOCK_REALTIME, &now)
                settings[1] = Int64(rate * 1_000_000_000)
                settings[2] = Int64(now.tv_sec) * 1_000_000_000 + Int64(now.tv_nsec)
            }
        }

        /// Written in place, one number after the other: the rate's origin before the rate.
        private func change(_ body: (inout [Int64]) -> Void) throws {
            try settings.withLock { settings in
                body(&settings)
                let file = open(path, O_WRONLY | O_CLOEXEC)
                guard file >= 0 else { throw TestSupportError.system("open \(path)") }
                defer { close(file) }
                for index in [2, 1, 0] {
                    guard pwrite(file, &settings[index], 8, off_t(index * 8)) == 8 else {
                        throw TestSupportError.system("write \(path)")
                    }
                }
            }
        }

        // MARK: The library

        /// Compiled into a folder that stays until the temporary folder is cleaned: it has the process's life.
        private static let compiledLibrary = Result { () throws -> String in
            let folder = try makeTemporaryDirectory("clock-shim")
            let library = "\(folder)/clock-shim.so"
            libraryFolder.withLock { $0 = folder }
            atexit { ClockShim.libraryFolder.withLock { $0.map(removeRecursively) } }
            let source = #filePath.split(separator: "/").dropLast().joined(separator: "/")
            let status = try run(["cc", "-O1", "-shared", "-fPIC", "-o", library, "/\(source)/ClockShim/clock-shim.c"])
            guard status == 0 else { throw TestSupportError("cc could not compile the clock shim: status \(status).") }
            return library
        }

        private static let libraryFolder = Mutex<String?>(nil)

        private static func run(_ arguments: [String]) throws -> CInt {
            var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
            defer { for pointer in argv { free(pointer) } }
            argv.append(nil)
            var pid: pid_t = 0
            let code = posix_spawnp(&pid, arguments[0], nil, nil, argv, environ)
            guard code == 0 else { throw TestSupportError.system("posix_spawn \(arguments[0])", code) }
            var status: CInt = 0
            while waitpid(pid, &status, 0) < 0 && errno == EINTR {}
            return status
        }
    }

    extension Duration {
        fileprivate var nanoseconds: Int64 {
            let (seconds, attoseconds) = components
            return seconds * 1_000_000_000 + attoseconds / 1_000_000_000
        }
    }
#endif
