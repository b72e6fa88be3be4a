import ReservationStoreConformance
import Reservations
import Synchronization

/// A store whose line a test watches, holds up or breaks.
final class ProbedQueueStore: QueueingStoreWrapper {
    let queueing: any QueueingReservationStore
    /// Before a batch is decided. An error is thrown, and nothing has happened.
    private let onDecide: @Sendable (QueueBatch) async -> StoreError?
    /// Before requests are written down. An error is thrown, and nothing has happened.
    private let onEnqueue: @Sendable ([Claim]) async -> StoreError?
    /// What a batch has come to.
    private let onDecided: @Sendable (BatchOutcome) -> Void
    private let asked = Mutex(0)

    init(
        _ queueing: any QueueingReservationStore,
        onDecide: @escaping @Sendable (QueueBatch) async -> StoreError? = { _ in nil },
        onDecided: @escaping @Sendable (BatchOutcome) -> Void = { _ in },
        onEnqueue: @escaping @Sendable ([Claim]) async -> StoreError? = { _ in nil }
    ) {
        self.queueing = queueing
        self.onEnqueue = onEnqueue
        self.onDecide = onDecide
        self.onDecided = onDecided
    }

    /// Nothing is decided before the gate opens.
    convenience init(_ queueing: any QueueingReservationStore, closedBy gate: Gate) {
        self.init(
            queueing,
            onDecide: { _ in
                await gate.wait()
                return nil
            })
    }

    /// How many requests were looked up.
    var requestsAsked: Int { asked.withLock { $0 } }

    func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        if let error = await onEnqueue(claims) { throw error }
        return try await queueing.enqueue(claims, in: partition, limits: limits)
    }

    /// The statement is under way, whatever becomes of the task that sent it.
    func decide(_ batch: QueueBatch) async throws(StoreError) -> BatchOutcome {
        let result = await Task.detached { [self] () -> Result<BatchOutcome, StoreError> in
            if let error = await onDecide(batch) { return .failure(error) }
            do throws(StoreError) {
                let outcome = try await queueing.decide(batch)
                onDecided(outcome)
                return .success(outcome)
            } catch {
                return .failure(error)
            }
        }.value
        return try result.get()
    }

    func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?] {
        asked.withLock { $0 += names.count }
        return try await queueing.requests(names)
    }
}

/// Counts down: whoever takes one while there are some, gets it.
final class Countdown: Sendable {
    private let left: Mutex<Int>

    init(_ count: Int) {
        left = Mutex(count)
    }

    func take() -> Bool {
        left.withLock { left in
            guard left > 0 else { return false }
            left -= 1
            return true
        }
    }

    var isOver: Bool { left.withLock { $0 == 0 } }
}
