import Dispatch
import Foundation
import GRDB
import Reservations
import Synchronization

/// The connections to one file: one that writes, some that read. All of SQLite runs on their threads.
final class Connections: Sendable {
    private struct State {
        var isClosed = false
        var running = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let pool: DatabasePool
    private let busy: BusyWait
    private let line: WriterLine
    private let busyTimeout: Duration
    private let now: @Sendable () -> Date
    private let state = Mutex(State())

    private init(pool: DatabasePool, busy: BusyWait, _ options: SQLiteReservationStore.Configuration) {
        self.pool = pool
        self.busy = busy
        line = WriterLine(maximumWaiters: options.maximumWaiters)
        busyTimeout = options.busyTimeout
        now = options.now
    }

    // MARK: Opening and closing

    /// Opens the file, or makes it.
    static func open(_ path: String, _ options: SQLiteReservationStore.Configuration) async throws(StoreError)
        -> Connections
    {
        let busy = BusyWait()
        let result = await onThread { () -> Result<DatabasePool, any Error> in
            Result { try openPool(path, options, busy) }
        }
        switch result {
        case .success(let pool): return Connections(pool: pool, busy: busy, options)
        case .failure(let error): throw StoreError(error)
        }
    }

    private static func openPool(
        _ path: String, _ options: SQLiteReservationStore.Configuration, _ busy: BusyWait
    ) throws -> DatabasePool {
        var configuration = GRDB.Configuration()
        configuration.label = "reservations"
        configuration.busyMode = .callback { busy.goesOn(after: $0) }
        configuration.maximumReaderCount = options.maximumReaders
        configuration.prepareDatabase { db in
            // Where a plain fsync leaves the data in the drive (macOS).
            try db.execute(sql: "PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON")
        }
        let deadline = ContinuousClock.now + options.busyTimeout
        while true {
            do {
                let pool = try DatabasePool(path: path, configuration: configuration)
                // After the pool has been made, which sets it to NORMAL: with that, a power failure loses the last commits.
                try pool.writeWithoutTransaction { db in
                    try db.execute(sql: "PRAGMA synchronous = FULL")
                    if let pages = options.maximumPages { try db.execute(sql: "PRAGMA max_page_count = \(pages)") }
                }
                return pool
            } catch let error as DatabaseError where error.resultCode == .SQLITE_BUSY && .now < deadline {
                // Several processes that make the same file at the same moment: SQLite does not wait where that could
                // be a deadlock. This thread is nobody else's.
                Thread.sleep(forTimeInterval: .random(in: 0.001...0.02))
            }
        }
    }

    /// Returns when all calls have ended and the file is closed.
    func close() async {
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            let isIdle = state.withLock { state in
                state.isClosed = true
                if state.running > 0 { state.waiting.append(continuation) }
                return state.running == 0
            }
            if isIdle { continuation.resume() }
        }
        await Self.onThread { [pool] in try? pool.close() }
    }

    /// Runs what blocks on a thread of its own.
    private static func onThread<Value: Sendable>(_ body: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().async { continuation.resume(returning: body()) }
        }
    }

    private func enter() throws(StoreError) {
        let isOpen = state.withLock { state in
            if !state.isClosed { state.running += 1 }
            return !state.isClosed
        }
        guard isOpen else { throw StoreError(.closed, "The store was closed.", attempts: 0) }
    }

    private func leave() {
        let waiting = state.withLock { state in
            state.running -= 1
            guard state.running == 0 else { return [] as [CheckedContinuation<Void, Never>] }
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    // MARK: Transactions

    /// One snapshot, concurrent with everything else.
    func read<Value: Sendable>(_ body: @escaping @Sendable (Tables) throws -> Value) async throws(StoreError) -> Value {
        try enter()
        defer { leave() }
        do {
            return try await pool.read { [now] db in try body(Tables(db: db, now: now().milliseconds)) }
        } catch {
            throw StoreError(error)
        }
    }

    /// One transaction that has the write lock from its beginning, so that nothing it reads can change before it writes.
    ///
    /// When the task is cancelled, a statement under way is interrupted and everything is rolled back; from the commit on,
    /// the answer is that of the transaction.
    ///
    func write<Value: Sendable>(
        _ body: @escaping @Sendable (Tables) throws -> Verdict<Value>
    ) async throws(StoreError) -> Value {
        try await write(call(), body)
    }

    /// A transaction that begins to wait now.
    ///
    /// - Parameter patience: how long, at most as long as the store waits anyway.
    func call(patience: Duration? = nil) -> BusyWait.Call {
        BusyWait.Call(until: .now + min(patience ?? busyTimeout, busyTimeout))
    }

    func write<Value: Sendable>(
        _ call: BusyWait.Call, _ body: @escaping @Sendable (Tables) throws -> Verdict<Value>
    ) async throws(StoreError) -> Value {
        try enter()
        defer { leave() }
        try await line.enter(call)
        defer { line.leave() }
        let progress = Progress<Value>()
        do {
            return try await withTaskCancellationHandler {
                try await pool.writeWithoutTransaction { [busy, now] db in
                    busy.begin(call)
                    defer { busy.end() }
                    try db.inTransaction(.immediate) {
                        let verdict = try body(Tables(db: db, now: now().milliseconds))
                        progress.isCommitting.store(verdict.isKept, ordering: .relaxed)
                        progress.value.withLock { $0 = verdict.value }
                        return verdict.isKept ? .commit : .rollback
                    }
                    progress.isDone.store(true, ordering: .relaxed)
                    return try progress.result()
                }
            } onCancel: {
                call.cancel()
            }
        } catch {
            // Whatever else went wrong, what is committed is the answer.
            if progress.isDone.load(ordering: .relaxed), let value = try? progress.result() { return value }
            throw StoreError(error, isCommitting: progress.isCommitting.load(ordering: .relaxed))
                .after(attempts: call.attempts)
        }
    }

    /// How far a transaction came. Written on the connection's thread, read after it.
    private final class Progress<Value: Sendable>: Sendable {
        let value = Mutex<Value?>(nil)
        let isCommitting = Atomic(false)
        let isDone = Atomic(false)

        func result() throws(StoreError) -> Value {
            guard let value = value.withLock({ $0 }) else {
                throw StoreError(.failed, "A transaction ended without a result.")
            }
            return value
        }
    }

    /// For tests: how many of this process wait for their turn to write.
    var waitingWriters: Int { line.length }

    /// For tests: SQL by hand, on the writing connection.
    func withWriter<Value: Sendable>(_ body: @escaping @Sendable (Database) throws -> Value) async throws -> Value {
        try await pool.writeWithoutTransaction { try body($0) }
    }
}
