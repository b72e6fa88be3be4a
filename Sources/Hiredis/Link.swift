import CHiredis
import Reactor

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Where one socket goes: resolution is done.
enum LinkAddress: Equatable {
    case tcp(address: String, port: Int)
    case unix(path: String)
}

/// Hears of one link, on the Reactor, never while hiredis is on the stack except for replies.
protocol LinkDelegate: AnyObject {
    func linkDidConnect(_ link: Link)
    /// The reply to the oldest unanswered command, or, on a link that has subscribed, a message. Called by hiredis'
    /// callback: may send, and may close the link (which takes effect later).
    func link(_ link: Link, didReceive value: RedisValue)
    /// The link is gone. Called once, and not after ``Link/close()``.
    func link(_ link: Link, didFail error: RedisError)
}

/// One hiredis context and its socket.
///
/// The memory rules, which the whole of `Hiredis` rests on:
/// - The context has one owner, this link. hiredis frees it by itself when it disconnects; then the `cleanup` hook has
///   run, and set `context` to `nil`. So after each call that may disconnect (`redisAsyncHandleRead`, `-Write`), and
///   only then, `context` says whether the context still exists.
/// - We free it (`redisAsyncFree`) at the end of a turn or from `ready`, never below a hiredis callback: 0.14 protects
///   reply callbacks against that, but not `onConnect`.
/// - `ev.data` and `data` point to this link without retaining it. The link outlives the context because its `Watch`,
///   which the Reactor holds, retains it, and only the `cleanup` hook gives the watch back.
/// - The guard that `reader->privdata` points to is allocated with the link and freed with it: after the context.
///
/// The callbacks; all run on the Reactor's thread, below `ready`, `flush`, `send` or `close`:
/// - `addRead`, `addWrite`, `delWrite` (`delRead` is never called by hiredis): borrow the link.
/// - `cleanup`: borrows the link; last use of the context. Runs once or twice (1.x).
/// - `onConnect`: borrows the link; only sets a flag.
/// - reply callback: borrows the link, and the reply for the length of the call (hiredis frees it). No per-command
///   context: replies come in the order of the commands, so there is nothing to release when a C call fails, and the
///   call with a `NULL` reply, which hiredis makes for each waiting command when it disconnects, is ignored: the owner
///   learns of the loss from `didFail`.
final class Link: ReadinessHandler {
    private var context: UnsafeMutablePointer<redisAsyncContext>?
    private let guardian: UnsafeMutablePointer<redis_locks_guard>
    private let limits: RedisLimits
    private let location: String
    private let reactor: Reactor
    private var watch: Watch?
    /// Strong, so that whoever waits for a reply is told; the cycle ends with the link.
    private var delegate: (any LinkDelegate)?
    private var isConnected = false
    private var connectedNow = false
    private var isFlushScheduled = false
    private var isWriting = false
    private var isClosed = false
    /// What hiredis knew of the reason, when the context went.
    private var lastWords: (code: CInt, text: String)?
    /// How often bytes were handed to the socket: for tests of "one write per turn".
    private(set) var writeCount = 0

    init(limits: RedisLimits, location: String, reactor: Reactor, delegate: any LinkDelegate) {
        self.limits = limits
        self.location = location
        self.reactor = reactor
        self.delegate = delegate
        guardian = limits.makeGuard()
    }

    deinit {
        guardian.deallocate()
    }

    /// Starts to connect.
    ///
    /// - Throws: `connectFailed` when the system refuses at once. The link is of no use then, and needs no ``close()``.
    func connect(to address: LinkAddress, keepalive: Duration) throws(RedisError) {
        let created =
            switch address {
            case .tcp(let address, let port): redisAsyncConnect(address, CInt(port))
            case .unix(let path): redisAsyncConnectUnix(path)
            }
        guard let created else {
            throw RedisError(.connectFailed, "There was no memory to connect to \(location).")
        }
        guard created.pointee.err == 0 else {
            let reason = Self.text(of: created)
            redisAsyncFree(created)
            throw RedisError(.connectFailed, "Could not connect to \(location): \(reason).")
        }
        redis_locks_tune_socket(created.pointee.c.fd, CInt(clamping: keepalive.components.seconds))
        redis_locks_install_guard(created, guardian)
        context = created
        watch = reactor.watch(created.pointee.c.fd, handler: self)
        let unretained = Unmanaged.passUnretained(self).toOpaque()
        created.pointee.data = unretained
        created.pointee.ev.data = unretained
        created.pointee.ev.addRead = { Link.of($0)?.addInterest(.readable) }
        created.pointee.ev.addWrite = { Link.of($0)?.wantWrite() }
        created.pointee.ev.delWrite = { Link.of($0)?.removeInterest(.writable) }
        created.pointee.ev.cleanup = { Link.of($0)?.contextIsGoing() }
        // Asks for a write event by itself, which is how a completed connect shows.
        redisAsyncSetConnectCallback(created) { context, status in
            guard status == REDIS_OK, let link = Link.of(context?.pointee.data) else { return }
            link.connectedNow = true
        }
    }

    /// Hands a command to the socket layer; it leaves at the end of this turn. Returns false when the link is gone.
    func send(_ command: RedisCommand) -> Bool {
        guard let context, !isClosed else { return false }
        return command.withArgumentPointers { pointers, lengths, count in
            redisAsyncCommandArgv(context, Link.replyCallback, nil, count, pointers, lengths) == REDIS_OK
        }
    }

    /// Lets go of the connection, now as far as the delegate is concerned, and of the socket at the end of the turn.
    func close() {
        guard !isClosed else { return }
        isClosed = true
        delegate = nil
        guard context != nil else { return }
        reactor.atEndOfTurn { self.freeContext() }
    }

    /// Bytes read and not understood yet.
    var unparsedBytes: Int { context.map { redis_locks_unparsed($0) } ?? 0 }

    // MARK: Readiness

    func ready(_ readiness: Readiness) {
        guard let context else { return }
        if isClosed { return freeContext() }
        if readiness.contains(.invalid) {
            // Somebody closed our descriptor; its number may be someone else's by now.
            context.pointee.c.fd = -1
            return fail(RedisError(.connectionLost, "The socket to \(location) was closed by other code."))
        }
        if readiness.contains(.readable) {
            redisAsyncHandleRead(context)
            afterEvent()
        }
        if readiness.contains(.writable), let context = self.context {
            write(context)
            afterEvent()
        }
    }

    private func afterEvent() {
        guard let context else { return contextIsGone() }
        if isClosed { return freeContext() }
        if redis_locks_unparsed(context) > limits.unparsedBytes { return fail(limits.tooLong(at: location)) }
        guard connectedNow else { return }
        connectedNow = false
        isConnected = true
        guard redis_locks_is_self_connected(context.pointee.c.fd) == 0 else {
            return fail(RedisError(.connectFailed, "Could not connect to \(location): nothing listens there."))
        }
        delegate?.linkDidConnect(self)
    }

    // MARK: Writing

    private func wantWrite() {
        // Before it is connected hiredis must not write (0.14 would take the attempt for success), and when the socket
        // was full it must wait; otherwise the end of the turn is soon enough, and gathers the turn's commands.
        guard isConnected, !isWriting else { return addInterest(.writable) }
        guard !isFlushScheduled, watch?.interest.contains(.writable) == false else { return }
        isFlushScheduled = true
        reactor.atEndOfTurn { self.flush() }
    }

    private func flush() {
        isFlushScheduled = false
        guard let context, !isClosed else { return }
        write(context)
        afterEvent()
    }

    private func write(_ context: UnsafeMutablePointer<redisAsyncContext>) {
        isWriting = true
        if redis_locks_unwritten(context) > 0 { writeCount += 1 }
        redisAsyncHandleWrite(context)
        isWriting = false
    }

    private func addInterest(_ interest: Readiness) {
        guard let watch else { return }
        reactor.setInterest(watch.interest.union(interest), of: watch)
    }

    private func removeInterest(_ interest: Readiness) {
        guard let watch else { return }
        reactor.setInterest(watch.interest.subtracting(interest), of: watch)
    }

    // MARK: The end

    private func contextIsGoing() {
        guard let context else { return }
        lastWords = (context.pointee.c.err, Self.text(of: context))
        self.context = nil
        if let watch { reactor.unwatch(watch) }
        watch = nil
    }

    private func freeContext() {
        if let context { redisAsyncFree(context) }
    }

    private func contextIsGone() {
        fail(reasonOfLoss())
    }

    private func fail(_ error: RedisError) {
        let delegate = isClosed ? nil : delegate
        isClosed = true
        self.delegate = nil
        freeContext()
        delegate?.link(self, didFail: error)
    }

    private func reasonOfLoss() -> RedisError {
        if let error = limits.error(for: guardian.pointee.trip, at: location) { return error }
        let text = lastWords?.text ?? "no reason given"
        guard isConnected || connectedNow else {
            return RedisError(.connectFailed, "Could not connect to \(location): \(text).")
        }
        switch lastWords?.code {
        case REDIS_ERR_PROTOCOL:
            return RedisError(.protocolViolation, "\(location) does not speak the Redis protocol: \(text).")
        case REDIS_ERR_OTHER:
            // An error that nobody asked for: the server's last words before it closes.
            let serverError = RedisServerError(text)
            return RedisError(
                .connectionLost, "\(location) closed the connection: \(serverError.message).", serverError: serverError,
                isPermanent: serverError.outcome == .misconfigured)
        default:
            return RedisError(.connectionLost, "The connection to \(location) was lost: \(text).")
        }
    }

    // MARK: From C

    private static func of(_ data: UnsafeMutableRawPointer?) -> Link? {
        data.map { Unmanaged<Link>.fromOpaque($0).takeUnretainedValue() }
    }

    private static let replyCallback:
        @convention(c) (
            UnsafeMutablePointer<redisAsyncContext>?, UnsafeMutableRawPointer?, UnsafeMutableRawPointer?
        ) -> Void = { context, reply, _ in
            guard let reply, let link = Link.of(context?.pointee.data), !link.isClosed else { return }
            link.delegate?.link(link, didReceive: RedisValue(reply.assumingMemoryBound(to: redisReply.self).pointee))
        }

    private static func text(of context: UnsafeMutablePointer<redisAsyncContext>) -> String {
        let text = withUnsafeBytes(of: context.pointee.c.errstr) {
            RedisServerError(line: $0.prefix { $0 != 0 }).message
        }
        return context.pointee.c.err == 0 ? "closed" : text
    }
}
