import Synchronization

/// A queue that lives and ends with the process: for tests, and as the plainest form of what ``ReservationQueue`` promises.
public final class InMemoryReservationQueue: ReservationQueue {
    /// Names a method, for faults.
    package enum Method: String, Sendable, Hashable, CaseIterable {
        case append, read, trim, announce, touch
    }

    private struct Partition {
        var entries: [QueueEntry] = []
        var last: QueuePosition?
        var touched: [RequestName: ContinuousClock.Instant] = [:]
        var buried: [RequestName] = []
        var listeners: [UInt64: AsyncStream<QueueProgress>.Continuation] = [:]
        var readers: [UInt64: CheckedContinuation<Void, Never>] = [:]
    }

    private struct State {
        var partitions: [Int: Partition] = [:]
        var lastID: UInt64 = 0
        var isClosed = false
        var fault: (@Sendable (Method) async -> QueueError?)?
    }

    private let state = Mutex(State())

    /// Makes an empty queue.
    public init() {}

    /// What goes wrong before a method: when it answers an error, that is thrown and nothing has happened.
    package func set(_ fault: (@Sendable (Method) async -> QueueError?)?) {
        state.withLock { $0.fault = fault }
    }

    /// Forgets everything, as a server that restarts without its data.
    package func lose() {
        state.withLock { state in
            for index in state.partitions.keys {
                state.partitions[index]?.entries = []
                state.partitions[index]?.last = nil
                state.partitions[index]?.touched = [:]
            }
        }
    }

    package func buried(in partition: Int) -> [RequestName] {
        state.withLock { $0.partitions[partition]?.buried ?? [] }
    }

    package func entries(in partition: Int) -> [QueueEntry] {
        state.withLock { $0.partitions[partition]?.entries ?? [] }
    }

    private func begin(_ method: Method) async throws(QueueError) {
        let (fault, isClosed) = state.withLock { ($0.fault, $0.isClosed) }
        if isClosed { throw QueueError(.closed, "The queue was closed.") }
        if let error = await fault?(method) { throw error }
    }

    /// See ``ReservationQueue/append(_:to:)``.
    public func append(_ requests: [RequestName], to partition: Int) async throws(QueueError) {
        try await begin(.append)
        let readers = state.withLock { state in
            var line = state.partitions[partition] ?? Partition()
            for request in requests {
                let position = QueuePosition((line.last ?? .start).major + 1)
                line.entries.append(QueueEntry(position: position, request: request))
                line.last = position
                line.touched[request] = .now
            }
            let readers = line.readers.values
            line.readers = [:]
            state.partitions[partition] = line
            return Array(readers)
        }
        for reader in readers { reader.resume() }
    }

    /// See ``ReservationQueue/read(_:after:limit:wait:)``.
    public func read(
        _ partition: Int, after position: QueuePosition, limit: Int, wait: Duration
    ) async throws(QueueError) -> [QueueEntry] {
        try await begin(.read)
        let found = entries(in: partition, after: position, limit: limit)
        guard found.isEmpty, wait > .zero else { return found }
        let id = state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
        let timer = Task {
            try? await Task.sleep(for: wait)
            self.wake(id, partition)
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isThere = state.withLock { state in
                    if state.partitions[partition]?.entries.contains(where: { $0.position > position }) == true
                        || Task.isCancelled
                    {
                        return true
                    }
                    state.partitions[partition, default: Partition()].readers[id] = continuation
                    return false
                }
                if isThere { continuation.resume() }
            }
        } onCancel: {
            wake(id, partition)
        }
        timer.cancel()
        if Task.isCancelled { throw QueueError(.cancelled, "The task was cancelled.") }
        return entries(in: partition, after: position, limit: limit)
    }

    private func wake(_ id: UInt64, _ partition: Int) {
        state.withLock { $0.partitions[partition]?.readers.removeValue(forKey: id) }?.resume()
    }

    private func entries(in partition: Int, after position: QueuePosition, limit: Int) -> [QueueEntry] {
        state.withLock { state in
            let entries = state.partitions[partition]?.entries ?? []
            return Array(entries.lazy.filter { $0.position > position }.prefix(max(limit, 0)))
        }
    }

    /// See ``ReservationQueue/lastPosition(of:)``.
    public func lastPosition(of partition: Int) async throws(QueueError) -> QueuePosition? {
        try await begin(.read)
        return state.withLock { $0.partitions[partition]?.last }
    }

    /// See ``ReservationQueue/trim(_:served:)``.
    public func trim(_ partition: Int, served entries: [QueueEntry]) async throws(QueueError) {
        try await begin(.trim)
        guard let last = entries.map(\.position).max() else { return }
        state.withLock { state in
            state.partitions[partition]?.entries.removeAll { $0.position <= last }
            for entry in entries { state.partitions[partition]?.touched[entry.request] = nil }
        }
    }

    /// See ``ReservationQueue/bury(_:of:reason:)``.
    public func bury(_ request: RequestName, of partition: Int, reason: String) async throws(QueueError) {
        try await begin(.append)
        state.withLock { $0.partitions[partition, default: Partition()].buried.append(request) }
    }

    /// See ``ReservationQueue/announce(_:of:)``.
    public func announce(_ progress: QueueProgress, of partition: Int) async throws(QueueError) {
        try await begin(.announce)
        let listeners = state.withLock { Array(($0.partitions[partition]?.listeners ?? [:]).values) }
        for listener in listeners { listener.yield(progress) }
    }

    /// See ``ReservationQueue/announcements(of:)``.
    public func announcements(of partition: Int) async -> AsyncStream<QueueProgress> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: QueueProgress.self, bufferingPolicy: .bufferingNewest(64))
        let id = state.withLock { state in
            state.lastID += 1
            state.partitions[partition, default: Partition()].listeners[state.lastID] = continuation
            return state.lastID
        }
        continuation.onTermination = { [weak self] _ in
            self?.state.withLock { $0.partitions[partition]?.listeners[id] = nil }
        }
        return stream
    }

    /// See ``ReservationQueue/touch(_:in:)``.
    public func touch(_ requests: [RequestName], in partition: Int) async throws(QueueError) {
        try await begin(.touch)
        state.withLock { state in
            for request in requests { state.partitions[partition, default: Partition()].touched[request] = .now }
        }
    }

    /// See ``ReservationQueue/silent(among:of:for:)``.
    public func silent(
        among entries: [QueueEntry], of partition: Int, for silence: Duration
    ) async throws(QueueError) -> Set<RequestName> {
        try await begin(.touch)
        let limit = ContinuousClock.now - silence
        return state.withLock { state in
            let touched = state.partitions[partition]?.touched ?? [:]
            return Set(entries.map(\.request).filter { touched[$0].map { $0 < limit } ?? false })
        }
    }

    /// Later calls throw ``QueueError/Code/closed``.
    public func close() async {
        let (listeners, readers) = state.withLock { state in
            state.isClosed = true
            let all = state.partitions.values
            for index in state.partitions.keys { state.partitions[index]?.readers = [:] }
            return (all.flatMap { $0.listeners.values }, all.flatMap { $0.readers.values })
        }
        for listener in listeners { listener.finish() }
        for reader in readers { reader.resume() }
    }
}
