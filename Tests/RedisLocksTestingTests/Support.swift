import RedisLocks
import Synchronization

/// What happened, in order, told by any number of tasks.
final class Recorder<Element: Sendable>: Sendable {
    private let state = Mutex<[Element]>([])

    func record(_ element: Element) {
        state.withLock { $0.append(element) }
    }

    var all: [Element] { state.withLock { $0 } }
}

/// The code of the error that `body` throws; `nil` when it throws none, or another one.
func code(_ body: () async throws -> some Any) async -> LockError.Code? {
    do {
        _ = try await body()
        return nil
    } catch {
        return (error as? LockError)?.code
    }
}

/// Waits until the task is cancelled.
func waitForCancellation() async {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    for await _ in stream {}
    continuation.finish()
}
