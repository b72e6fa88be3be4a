import Synchronization

/// Lets tasks wait until something that others change has become true: what tests do instead of sleeping.
package final class ChangeSignal: Sendable {
    private struct State {
        var generation: UInt64 = 0
        var nextWaiter: UInt64 = 0
        var waiters: [UInt64: CheckedContinuation<Void, Never>] = [:]
        /// Waiters whose task was cancelled before they were registered.
        var cancelled: Set<UInt64> = []
    }

    private let state = Mutex(State())

    package init() {}

    /// Whoever waits looks again.
    package func notify() {
        let waiters = state.withLock { state in
            state.generation += 1
            defer { state.waiters.removeAll() }
            return state.waiters.values
        }
        for waiter in waiters { waiter.resume() }
    }

    /// Returns when `condition` holds, or when the task is cancelled: then `false`.
    ///
    /// Every change of what `condition` reads must be followed by a call of ``notify()``.
    @discardableResult
    package func wait(until condition: @Sendable () -> Bool) async -> Bool {
        while true {
            let seen = state.withLock { $0.generation }
            if condition() { return true }
            if Task.isCancelled { return false }
            await change(after: seen)
        }
    }

    private func change(after seen: UInt64) async {
        let id = state.withLock { state in
            state.nextWaiter += 1
            return state.nextWaiter
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let mustWait = state.withLock { state in
                    guard state.generation == seen, !state.cancelled.contains(id) else { return false }
                    state.waiters[id] = continuation
                    return true
                }
                if !mustWait { continuation.resume() }
            }
        } onCancel: {
            let waiter = state.withLock { state in
                let waiter = state.waiters.removeValue(forKey: id)
                if waiter == nil { state.cancelled.insert(id) }
                return waiter
            }
            waiter?.resume()
        }
        state.withLock { _ = $0.cancelled.remove(id) }
    }
}
