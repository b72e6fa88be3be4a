import Foundation
import Synchronization

/// How the writing connection waits for another process's transaction to end: in short naps, until it has waited enough or
/// nobody wants its answer any more. SQLite's own waiting cannot be ended.
final class BusyWait: Sendable {
    /// One transaction that may have to wait: for its turn in this process, and then for other processes. Both together until
    /// its deadline.
    final class Call: Sendable {
        let deadline: ContinuousClock.Instant
        private let isCancelledFlag = Atomic(false)
        private let tries = Atomic(0)

        init(until deadline: ContinuousClock.Instant) {
            self.deadline = deadline
        }

        func cancel() { isCancelledFlag.store(true, ordering: .relaxed) }

        var isCancelled: Bool { isCancelledFlag.load(ordering: .relaxed) }
        var isLate: Bool { ContinuousClock.now >= deadline }

        func countTry() { tries.add(1, ordering: .relaxed) }

        /// How often the write lock of the file was asked for.
        var attempts: Int { tries.load(ordering: .relaxed) }
    }

    private let current = Mutex<Call?>(nil)

    /// The call's turn among those of this process has come.
    func begin(_ call: Call) {
        call.countTry()
        current.withLock { $0 = call }
    }

    func end() {
        current.withLock { $0 = nil }
    }

    /// Asked by SQLite on the connection's thread, which is nobody else's; `tries` counts from 0.
    func goesOn(after tries: Int) -> Bool {
        let current = current.withLock { $0 }
        guard tries < Self.maximumTries else { return false }
        if let current, current.isCancelled || current.isLate { return false }
        // Spread out, so that processes that wait together do not come back together. Short at first: transactions are.
        Thread.sleep(forTimeInterval: .random(in: 0.0002...min(0.02, 0.001 * Double(tries + 1))))
        current?.countTry()
        return true
    }

    /// A limit also where there is no call: while the database is opened.
    private static let maximumTries = 20_000
}
