#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

extension POSIX {
    /// Starts a program in a process group of its own, with two descriptors of ours and no others, and all signals as they are
    /// by default.
    ///
    /// Not Foundation's `Process`: in a process with many open files that one crashes now and then while it lists them.
    ///
    /// - Parameters:
    ///   - arguments: with the program's name as the first.
    ///   - isQuiet: whether its standard error goes nowhere; else it is ours.
    static func spawn(
        _ program: String, _ arguments: [String], input: CInt, output: CInt, isQuiet: Bool
    ) throws(TestSupportError) -> pid_t {
        #if canImport(Darwin)
            var actions: posix_spawn_file_actions_t?
            var attributes: posix_spawnattr_t?
        #else
            var actions = posix_spawn_file_actions_t()
            var attributes = posix_spawnattr_t()
        #endif
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }

        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        if isQuiet { posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0) }
        var signals = sigset_t()
        sigemptyset(&signals)
        posix_spawnattr_setsigmask(&attributes, &signals)
        sigaddset(&signals, SIGPIPE)
        posix_spawnattr_setsigdefault(&attributes, &signals)
        var flags = CInt(POSIX_SPAWN_SETPGROUP) | CInt(POSIX_SPAWN_SETSIGMASK) | CInt(POSIX_SPAWN_SETSIGDEF)
        #if canImport(Darwin)
            flags |= CInt(POSIX_SPAWN_CLOEXEC_DEFAULT)
            if !isQuiet { posix_spawn_file_actions_addinherit_np(&actions, 2) }
        #else
            closeFrom(3, in: &actions)
        #endif
        posix_spawnattr_setflags(&attributes, Int16(flags))

        var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        defer { for pointer in argv { free(pointer) } }
        argv.append(nil)
        var pid: pid_t = 0
        let code = posix_spawn(&pid, program, &actions, &attributes, argv, environ)
        guard code == 0 else { throw .system("posix_spawn \(program)", code) }
        return pid
    }

    /// A pipe of our own: whatever else we start gets none of its ends.
    static func makePipe() throws(TestSupportError) -> (read: CInt, write: CInt) {
        var ends: [CInt] = [0, 0]
        guard pipe(&ends) == 0 else { throw .system("pipe") }
        for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
        return (ends[0], ends[1])
    }
}

#if !canImport(Darwin)
    /// Glibc has had the function since 2.34, but hides its declaration from Swift. Without it, the usual range must do.
    private func closeFrom(_ first: CInt, in actions: inout posix_spawn_file_actions_t) {
        typealias Function = @convention(c) (UnsafeMutablePointer<posix_spawn_file_actions_t>, CInt) -> CInt
        if let symbol = dlsym(nil, "posix_spawn_file_actions_addclosefrom_np") {
            _ = unsafeBitCast(symbol, to: Function.self)(&actions, first)
        } else {
            for descriptor in first..<1024 { posix_spawn_file_actions_addclose(&actions, descriptor) }
        }
    }
#endif
