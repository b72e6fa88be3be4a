import Foundation
import Synchronization
import TestSupport

/// A place for a process: when it was killed, another takes over, and asks again for those that were not answered.
final class Slot: Sendable {
    private struct State {
        var worker: WorkerProcess?
        var isEnding = false
        var unanswered: String?
        var insideWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let number: Int
    private let strategy: String
    private let arguments: [String]
    private let book: TortureBook
    private let state = Mutex(State())

    init(number: Int, strategy: String, arguments: [String], book: TortureBook) {
        self.number = number
        self.strategy = strategy
        self.arguments = arguments
        self.book = book
    }

    var isLocked: Bool { ["locked", "fallback", "queued"].contains(strategy) }

    func run() async throws {
        var round = 0
        while !state.withLock({ $0.isEnding }) {
            var all = ["torture-buyer", "--name", "\(strategy)\(number).\(round)", "--strategy", strategy] + arguments
            if let again = state.withLock({ $0.unanswered }) { all += ["--again", again] }
            let worker = try WorkerProcess(all)
            state.withLock { $0.worker = worker }
            if state.withLock({ $0.isEnding }) { worker.say("end") }
            for await line in worker.lines { hear(line) }
            wakeWaiters()
            round += 1
        }
    }

    private func hear(_ line: String) {
        book.hear(line)
        if line == "inside" { wakeWaiters() }
        let words = line.split(separator: " ").map(String.init)
        // Of two at a time, the one that was begun last: the other stays as it is.
        if words.first == "asking", words.count == 2 { state.withLock { $0.unanswered = words[1] } }
    }

    private func wakeWaiters() {
        let waiters = state.withLock { state in
            defer { state.insideWaiters = [] }
            return state.insideWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func kill() {
        state.withLock { $0.worker }?.signal(SIGKILL)
    }

    /// Stops the process when it has a lock and is about to write, for longer than the lock lives.
    func stopInside() async {
        let limit = Task {
            try? await Task.sleep(for: .seconds(2))  // sleep: as long as a locker may have no lock to wait in
            if !Task.isCancelled { wakeWaiters() }
        }
        await withCheckedContinuation { continuation in
            state.withLock { $0.insideWaiters.append(continuation) }
        }
        limit.cancel()
        await stop()
    }

    /// Stops the process wherever it is, for longer than a lock lives.
    func stop() async {
        let worker = state.withLock { $0.worker }
        worker?.signal(SIGSTOP)
        try? await Task.sleep(for: TortureTimes.pause)  // sleep: a process that stands still, for longer than its lease
        worker?.signal(SIGCONT)
    }

    func end() {
        let worker = state.withLock { state in
            state.isEnding = true
            return state.worker
        }
        worker?.say("end")
    }
}
