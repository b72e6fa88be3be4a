#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What the operating systems spell differently.
package enum Platform {
    /// A number that names the calling thread while it lives; never 0.
    static var currentThread: UInt {
        #if canImport(Darwin)
            UInt(bitPattern: pthread_self())
        #else
            UInt(bitPattern: Int(truncatingIfNeeded: Int64(bitPattern: UInt64(pthread_self()))))
        #endif
    }

    /// Starts a detached thread that runs `body`, lets go of it, and then runs what it returned: whoever is told the
    /// thread's end there finds nothing that the thread still holds.
    ///
    /// Returns `errno` on failure, in which case `body` is dropped unrun.
    static func startThread(_ body: @escaping ThreadBody.Body) -> CInt {
        let box = Unmanaged.passRetained(ThreadBody(body))
        var attributes = pthread_attr_t()
        pthread_attr_init(&attributes)
        defer { pthread_attr_destroy(&attributes) }
        pthread_attr_setdetachstate(&attributes, CInt(PTHREAD_CREATE_DETACHED))
        #if canImport(Darwin)
            var thread: pthread_t?
            let status = pthread_create(&thread, &attributes, { ThreadBody.run($0) }, box.toOpaque())
        #else
            var thread = pthread_t()
            let status = pthread_create(&thread, &attributes, { ThreadBody.run($0) }, box.toOpaque())
        #endif
        if status != 0 { box.release() }
        return status
    }

    /// Starts a detached thread for work that blocks. Returns `errno` on failure, in which case `body` is dropped unrun.
    package static func startThread(toBlockIn body: @escaping @Sendable () -> Void) -> CInt {
        startThread {
            body()
            return {}
        }
    }

    /// Keeps SIGPIPE from the calling thread: a write to a reset socket must be an error code, not a signal.
    ///
    /// hiredis 0.14 writes without `MSG_NOSIGNAL`. Only the calling thread's mask changes, not the process's disposition.
    static func blockSIGPIPE() {
        var set = sigset_t()
        sigemptyset(&set)
        sigaddset(&set, SIGPIPE)
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }

    /// For debuggers. Glibc hides its own function from Swift, and no user misses it.
    static func nameCurrentThread(_ name: String) {
        #if canImport(Darwin)
            pthread_setname_np(name)
        #endif
    }
}

/// Carries a closure through `pthread_create`'s `void *`.
final class ThreadBody: Sendable {
    typealias Body = @Sendable () -> (() -> Void)

    private let body: Body

    init(_ body: @escaping Body) {
        self.body = body
    }

    #if canImport(Darwin)
        fileprivate static func run(_ argument: UnsafeMutableRawPointer) -> UnsafeMutableRawPointer? {
            runAndRelease(argument)()
            return nil
        }
    #else
        fileprivate static func run(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
            if let argument { runAndRelease(argument)() }
            return nil
        }
    #endif

    /// A function of its own, so that the box and what it captured are gone when it returns.
    @inline(never)
    private static func runAndRelease(_ argument: UnsafeMutableRawPointer) -> (() -> Void) {
        Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().body()
    }
}

/// A pipe that makes a blocked `poll` return. Portable where eventfd is not.
struct WakeUpPipe: ~Copyable {
    let readEnd: CInt
    private let writeEnd: CInt

    init() throws(ReactorError) {
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw ReactorError(operation: "pipe", errno: errno) }
        readEnd = ends[0]
        writeEnd = ends[1]
        for end in ends {
            _ = fcntl(end, F_SETFL, O_NONBLOCK)
            _ = fcntl(end, F_SETFD, FD_CLOEXEC)
        }
    }

    deinit {
        close(readEnd)
        close(writeEnd)
    }

    /// A full pipe is a pipe that will wake its reader: the result does not matter.
    func signal() {
        var byte: UInt8 = 1
        _ = write(writeEnd, &byte, 1)
    }

    func drain() {
        withUnsafeTemporaryAllocation(byteCount: 64, alignment: 1) { buffer in
            while read(readEnd, buffer.baseAddress, buffer.count) == buffer.count {}
        }
    }
}

/// The operating system refused what a reactor cannot work without.
package struct ReactorError: Error, CustomStringConvertible {
    package let operation: String
    package let errno: CInt

    package var description: String {
        "\(operation) failed: \(String(cString: strerror(errno))) (errno \(errno))"
    }
}
