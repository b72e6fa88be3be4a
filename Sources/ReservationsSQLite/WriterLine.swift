import Reservations
import Synchronization

/// The line of those in this process who want to write: first come, first served, so many at most, and nobody longer than
/// until his deadline. Those who wait here hold no thread.
final class WriterLine: Sendable {
    fileprivate enum Entry {
        case turn, full, late, cancelled
    }

    fileprivate struct Waiter {
        let call: BusyWait.Call
        let continuation: CheckedContinuation<Entry, Never>
    }

    fileprivate struct State {
        var isTaken = false
        var waiting: [Waiter] = []
    }

    private let maximumWaiters: Int
    private let state = Mutex(State())

    init(maximumWaiters: Int) {
        self.maximumWaiters = maximumWaiters
    }

    /// How many wait, for tests.
    var length: Int { state.withLock { $0.waiting.count } }

    /// Comes back when it is the call's turn, which ``leave()`` ends.
    func enter(_ call: BusyWait.Call) async throws(StoreError) {
        let isFree = state.withLock { state in
            defer { state.isTaken = true }
            return !state.isTaken
        }
        if isFree { return }
        switch await wait(call) {
        case .turn: return
        case .full:
            throw StoreError(
                .busy, "\(maximumWaiters) calls wait to write to the database, and no more may.", attempts: 0)
        case .late: throw .tooLate
        case .cancelled: throw StoreError(.cancelled, "The task was cancelled; nothing was changed.", attempts: 0)
        }
    }

    private func wait(_ call: BusyWait.Call) async -> Entry {
        let alarm = Task {
            try await Task.sleep(until: call.deadline, clock: .continuous)
            self.dismiss(call, .late)
        }
        defer { alarm.cancel() }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let entry = state.withLock { $0.append(Waiter(call: call, continuation: continuation), maximumWaiters) }
                if let entry { continuation.resume(returning: entry) }
            }
        } onCancel: {
            // Before the lock: whoever is not in the line yet finds it when he enters.
            call.cancel()
            dismiss(call, .cancelled)
        }
    }

    private func dismiss(_ call: BusyWait.Call, _ entry: Entry) {
        let waiter = state.withLock { state in
            state.waiting.firstIndex { $0.call === call }.map { state.waiting.remove(at: $0) }
        }
        waiter?.continuation.resume(returning: entry)
    }

    /// The next one's turn.
    func leave() {
        let next = state.withLock { state -> Waiter? in
            guard state.waiting.isEmpty else { return state.waiting.removeFirst() }
            state.isTaken = false
            return nil
        }
        next?.continuation.resume(returning: .turn)
    }
}

extension WriterLine.State {
    /// What is known at once; `nil` for one who waits.
    fileprivate mutating func append(_ waiter: WriterLine.Waiter, _ maximum: Int) -> WriterLine.Entry? {
        if waiter.call.isCancelled { return .cancelled }
        // Also for one who is late: he was kept by nobody, and may try once.
        if !isTaken {
            isTaken = true
            return .turn
        }
        // The alarm may have rung before there was anybody to dismiss.
        if waiter.call.isLate { return .late }
        if waiting.count >= maximum { return .full }
        waiting.append(waiter)
        return nil
    }
}

extension StoreError {
    static var tooLate: StoreError {
        StoreError(.busy, "Others in this process were writing to the database for too long.", attempts: 0)
    }
}
