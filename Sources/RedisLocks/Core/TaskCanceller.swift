import Synchronization

/// Cancels a lock's body from outside when the lease is lost.
final class TaskCanceller: Sendable {
    /// A task that can be cancelled from another thread while it is known to live.
    ///
    /// Guard: used only inside `task`'s mutex, and only until ``disarm()``, which comes before the end of the scope in which
    /// the reference is valid.
    private struct Target: @unchecked Sendable {
        let task: UnsafeCurrentTask
    }

    private let target: Mutex<Target?>

    private init(_ task: UnsafeCurrentTask) {
        target = Mutex(Target(task: task))
    }

    /// Runs `body` and cancels the current task, a child made for it, when the lease is lost.
    static func run<Result>(
        cancelledBy state: LeaseState, on executor: (any TaskExecutor)?, _ body: () async throws -> Result
    ) async throws -> Result {
        try await withUnsafeCurrentTask { task in
            guard let task else { return try await body() }
            let canceller = TaskCanceller(task)
            let observer = state.addObserver { event in
                // Cancelling runs the handlers of the user's code, which must not happen on the Reactor.
                if case .lost = event { Task(executorPreference: executor) { canceller.cancel() } }
            }
            defer {
                state.removeObserver(observer)
                canceller.disarm()
            }
            return try await body()
        }
    }

    private func cancel() {
        target.withLock { $0?.task.cancel() }
    }

    private func disarm() {
        target.withLock { $0 = nil }
    }
}
