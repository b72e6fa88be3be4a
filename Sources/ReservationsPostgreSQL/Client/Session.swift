import CLibPQ
import Reactor

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a session runs in one round trip.
struct Batch {
    let statements: [Statement]
    /// Whether something may be changed for good when it succeeds: it ends a transaction, or is one by itself.
    let mayCommit: Bool
    let deadline: ContinuousClock.Instant
    let completion: (Result<[Rows], DatabaseError>) -> Void
}

/// One connection to the server, for one batch at a time. Belongs to the Reactor.
///
/// A batch goes out as one pipeline that ends with a synchronization, so without a `BEGIN` of its own it is one transaction
/// and one round trip, whatever the number of statements and of texts to be prepared.
///
/// - Lifetime: the `PGconn` belongs to this object, from `PQconnectStartParams` to ``close()``. Whoever makes a session
///   closes it.
/// - Callbacks: only the notice receiver, which libpq calls on the Reactor, below its functions; it borrows the session.
final class Session: ReadinessHandler {
    enum State {
        case new
        case connecting(deadline: ContinuousClock.Instant, (Result<Void, DatabaseError>) -> Void)
        case idle
        case running(Batch, BatchProgress)
        case closed
    }

    private let reactor: Reactor
    private let location: String
    /// What is run on every new connection.
    private let setup: Statement
    /// For tests. Called on the Reactor, where no user's code may run: nobody else's notices are wanted.
    private let onNotice: ((String) -> Void)?
    private var state = State.new
    private var connection: OpaquePointer?
    private var watch: Watch?
    private var watchedSocket: CInt = -1
    private var timer: TimerID?
    /// The names under which the server knows texts.
    private var prepared: [String: String] = [:]
    private var lastName = 0
    /// Told when the connection breaks while it has nothing to do.
    var onLoss: (() -> Void)?
    /// Why, and how far, the running batch is being cancelled.
    private var cancellation: Cancellation?

    /// How long a cancelled statement, and the request to cancel it, may take to end before the connection is given up.
    static let cancelGrace: Duration = .seconds(3)
    /// Texts are constants of the program. More than this, and somebody put values into them.
    private static let maximumPrepared = 256

    init(reactor: Reactor, location: String, setup: Statement, onNotice: ((String) -> Void)? = nil) {
        self.reactor = reactor
        self.location = location
        self.setup = setup
        self.onNotice = onNotice
    }

    deinit {
        assert(connection == nil, "A session must be closed by whoever made it.")
    }

    /// Whether it can run a batch now, outside any transaction.
    var isReady: Bool {
        guard case .idle = state, cancellation == nil, let connection else { return false }
        return PQtransactionStatus(connection) == PQTRANS_IDLE && PQstatus(connection) == CONNECTION_OK
    }

    // MARK: Connecting

    /// Connects, logs in and runs the set-up. A session that failed is closed.
    func open(
        _ keywords: [(String, String)], deadline: ContinuousClock.Instant,
        completion: @escaping (Result<Void, DatabaseError>) -> Void
    ) {
        guard case .new = state else { return completion(.failure(DatabaseError(.failed, "The session is in use."))) }
        state = .connecting(deadline: deadline, completion)
        failConnecting(at: deadline)
        guard let connection = LibPQ.start(keywords) else {
            return fail(DatabaseError(.connectFailed, "There was no memory to connect to PostgreSQL."))
        }
        self.connection = connection
        // Carries the SQLSTATE of a refused login, which libpq tells in no other way.
        PQsetErrorVerbosity(connection, PQERRORS_VERBOSE)
        PQsetNoticeReceiver(connection, Self.noticeReceiver, Unmanaged.passUnretained(self).toOpaque())
        guard PQstatus(connection) != CONNECTION_BAD else { return failConnecting() }
        // As if `PQconnectPoll` had asked to write.
        watchSocket(for: .writable)
    }

    private func poll() {
        guard let connection else { return }
        let status = PQconnectPoll(connection)
        switch status {
        case PGRES_POLLING_READING: watchSocket(for: .readable)
        case PGRES_POLLING_WRITING: watchSocket(for: .writable)
        case PGRES_POLLING_OK: logIn()
        default: failConnecting()
        }
    }

    /// libpq may change to another socket between two polls: the next address, or without encryption.
    private func watchSocket(for interest: Readiness) {
        guard let connection else { return }
        let socket = PQsocket(connection)
        guard socket >= 0 else { return failConnecting() }
        if socket != watchedSocket || watch == nil {
            if let watch { reactor.unwatch(watch) }
            watch = reactor.watch(socket, handler: self)
            watchedSocket = socket
        }
        if let watch { reactor.setInterest(interest, of: watch) }
    }

    private func logIn() {
        guard let connection, case .connecting(let deadline, let completion) = state else { return }
        watchSocket(for: .readable)
        guard PQsetnonblocking(connection, 1) == 0, PQenterPipelineMode(connection) == 1 else {
            return fail(DatabaseError(.connectFailed, "libpq refuses to work without blocking."))
        }
        state = .idle
        let batch = Batch(statements: [setup], mayCommit: false, deadline: deadline) { [weak self] result in
            switch result {
            case .success: completion(.success(()))
            case .failure(let error):
                self?.close()
                completion(.failure(error))
            }
        }
        run(batch)
        // The set-up belongs to the login, and is not cancelled in good order when the time is over.
        if case .running = state { failConnecting(at: deadline) }
    }

    private func failConnecting(at deadline: ContinuousClock.Instant) {
        setTimer(at: deadline) {
            $0.fail(DatabaseError(.connectFailed, "PostgreSQL at \($0.location) did not answer in time."))
        }
    }

    private func failConnecting() {
        guard let connection else { return }
        fail(LibPQ.connectError(of: connection, at: location))
    }

    // MARK: Running

    /// Sends a batch, and tells its completion what came of it. One at a time.
    func run(_ batch: Batch) {
        guard let connection, case .idle = state, cancellation == nil else {
            return batch.completion(.failure(DatabaseError(.connectionLost, "The connection to PostgreSQL was lost.")))
        }
        var steps: [BatchProgress.Step] = []
        let isSent = batch.statements.allSatisfy { send($0, on: connection, &steps) } && PQpipelineSync(connection) == 1
        steps.append(.synchronize)
        state = .running(batch, BatchProgress(steps: steps))
        setTimer(at: batch.deadline) { $0.cancel(for: DatabaseError(.timedOut, "PostgreSQL did not answer in time.")) }
        guard isSent else { return failIO() }
        flush()
    }

    /// Prepares the text on the way when this connection has not seen it: that costs no round trip of its own.
    private func send(_ statement: Statement, on connection: OpaquePointer, _ steps: inout [BatchProgress.Step]) -> Bool
    {
        if let name = prepared[statement.sql] ?? BatchProgress.name(of: statement.sql, preparedIn: steps) {
            steps.append(.execute)
            return LibPQ.send(statement, prepared: name, on: connection)
        }
        guard statement.isPrepared, lastName < Self.maximumPrepared else {
            steps.append(.execute)
            return LibPQ.send(statement, on: connection)
        }
        // Never used twice, for a text that could not be prepared may be tried again.
        lastName += 1
        let name = "s\(lastName)"
        steps += [.prepare(sql: statement.sql, name: name), .execute]
        return LibPQ.prepare(statement.sql, as: name, on: connection)
            && LibPQ.send(statement, prepared: name, on: connection)
    }

    /// Asks the server to give up what it is doing. The batch ends with `error` if it does, and with its result if it had
    /// ended before; the connection stays good.
    ///
    /// `PQcancel` connects, and blocks: it has a thread of its own. The session takes no other batch until that thread has
    /// come back, for a late request would hit the next.
    func cancel(for error: DatabaseError) {
        guard case .running = state, cancellation == nil, let connection else { return }
        guard let request = PQgetCancel(connection) else { return fail(error) }
        let handle = CancelHandle(request: request, session: self)
        cancellation = Cancellation(error: error, isAsked: false)
        let reactor = reactor
        let status = Platform.startThread(toBlockIn: {
            handle.send()
            reactor.execute { handle.session?.cancelWasSent() }
        })
        guard status == 0 else {
            handle.drop()
            return fail(error)
        }
        setTimer(at: .now + Self.cancelGrace) { $0.fail(error) }
    }

    private func cancelWasSent() {
        guard cancellation != nil else { return }
        cancellation?.isAsked = true
        finishIfDone()
    }

    // MARK: Reading and writing

    func ready(_ readiness: Readiness) {
        guard let connection else { return }
        if readiness.contains(.invalid) {
            watch = nil
            return fail(DatabaseError(.connectionLost, "The socket to PostgreSQL was closed by other code."))
        }
        if case .connecting = state { return poll() }
        if readiness.contains(.readable) {
            guard PQconsumeInput(connection) == 1 else { return failIO() }
            read()
        }
        if readiness.contains(.writable), self.connection != nil { flush() }
    }

    private func flush() {
        guard let connection, let watch else { return }
        switch PQflush(connection) {
        case 0: reactor.setInterest(.readable, of: watch)
        case 1: reactor.setInterest([.readable, .writable], of: watch)
        default: failIO()
        }
    }

    private func read() {
        while let connection, case .running(let batch, var progress) = state, PQisBusy(connection) == 0 {
            let event = LibPQ.nextEvent(on: connection)
            let action = event.map { progress.handle($0) } ?? .confused
            state = .running(batch, progress)
            switch action {
            case .proceed: break
            case .prepared(let sql, let name): prepared[sql] = name
            case .finish(let result): return finish(batch, result)
            case .confused: return failIO()
            }
        }
        guard let connection, case .idle = state, PQisBusy(connection) == 0 else { return }
        // Nobody asked for anything: the server's last words, or its end.
        if PQstatus(connection) == CONNECTION_BAD { failIO() }
    }

    private func finish(_ batch: Batch, _ result: Result<[Rows], DatabaseError>) {
        if case .failure(let error) = result, error.code == .connectionLost { return fail(error) }
        state = .idle
        guard cancellation != nil else {
            setTimer(at: nil)
            return batch.completion(result)
        }
        cancellation?.outcome = (batch, result)
        finishIfDone()
    }

    private func finishIfDone() {
        guard let done = cancellation, done.isAsked, let (batch, result) = done.outcome else { return }
        cancellation = nil
        setTimer(at: nil)
        if case .failure(let error) = result, error.sqlState == "57014" {
            batch.completion(.failure(done.error))
        } else {
            batch.completion(result)
        }
    }

    private func setTimer(at deadline: ContinuousClock.Instant?, _ action: @escaping (Session) -> Void = { _ in }) {
        if let timer { reactor.cancel(timer) }
        timer = deadline.map {
            reactor.schedule(at: $0) { [weak self] in
                guard let self else { return }
                self.timer = nil
                action(self)
            }
        }
    }

    // MARK: The end

    private func failIO() {
        guard connection != nil else { return }
        fail(DatabaseError(.connectionLost, "The connection to PostgreSQL at \(location) was lost."))
    }

    /// Closes, and tells whoever waits. What a batch did that may commit is not known then.
    private func fail(_ error: DatabaseError) {
        let (state, outcome, onLoss) = (state, cancellation?.outcome, onLoss)
        close()
        switch state {
        case .connecting(_, let completion): completion(.failure(error))
        case .running(let batch, _):
            // Whoever did not even let go of the statement in time is not busy, but away.
            var error = error.code == .timedOut ? DatabaseError(.connectionLost, error.message) : error
            error.effectIsUnknown = batch.mayCommit
            batch.completion(.failure(error))
        case .idle:
            // The batch has ended, and only the request to cancel it has not.
            if let (batch, result) = outcome { batch.completion(result) } else { onLoss?() }
        case .new, .closed: break
        }
    }

    /// Lets go of the connection. A batch under way is not told: its owner closes.
    func close() {
        state = .closed
        cancellation = nil
        onLoss = nil
        setTimer(at: nil)
        if let watch { reactor.unwatch(watch) }
        watch = nil
        if let connection { PQfinish(connection) }
        connection = nil
    }

    /// On the Reactor's thread, below a function of libpq's; borrows the session and the result.
    private static let noticeReceiver: @convention(c) (UnsafeMutableRawPointer?, OpaquePointer?) -> Void = {
        context, result in
        guard let context, let result else { return }
        let session = Unmanaged<Session>.fromOpaque(context).takeUnretainedValue()
        session.onNotice?(LibPQ.text(PQresultErrorField(result, LibPQ.messageField)) ?? "")
    }
}

extension Session {
    private struct Cancellation {
        let error: DatabaseError
        /// The thread that asks has come back.
        var isAsked: Bool
        /// What the batch came to.
        var outcome: (Batch, Result<[Rows], DatabaseError>)?
    }

    /// Carries the request to cancel through its thread.
    ///
    /// Guard: `request` is used by that thread alone, or by the Reactor when there is none; `session` is read on the
    /// Reactor only.
    private final class CancelHandle: @unchecked Sendable {
        private let request: OpaquePointer
        private(set) weak var session: Session?

        init(request: OpaquePointer, session: Session) {
            self.request = request
            self.session = session
        }

        /// Blocks. Whether it succeeded shows in the batch.
        func send() {
            // A server that closes first must cost an error code, and not the process: libpq forgets that here.
            var signals = sigset_t()
            sigemptyset(&signals)
            sigaddset(&signals, SIGPIPE)
            pthread_sigmask(SIG_BLOCK, &signals, nil)
            var complaint = [CChar](repeating: 0, count: 256)
            PQcancel(request, &complaint, CInt(complaint.count))
            PQfreeCancel(request)
        }

        func drop() {
            PQfreeCancel(request)
        }
    }
}
