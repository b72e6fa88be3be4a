import Foundation
import ReservationStoreConformance
import Reservations
import Synchronization

/// The steps of a waiting line, between which a process may be told to die.
enum Step: String, CaseIterable, Sendable {
    case enqueue, take, decide, append, read, announce, trim
}

/// Where this process ends itself, as though it were killed there: `decide before 2` is before the second batch is decided.
final class Fate: Sendable {
    private let left: Mutex<Int>
    private let place: String?

    /// - Parameter text: such as `decide.before.2`; `nil` to live.
    init(_ text: String?) {
        let parts = (text ?? "").split(separator: ".").map(String.init)
        place = parts.count == 3 ? "\(parts[0]).\(parts[1])" : nil
        left = Mutex(parts.count == 3 ? Int(parts[2]) ?? 1 : 0)
    }

    func pass(_ step: Step, _ side: String) {
        guard place == "\(step.rawValue).\(side)" else { return }
        let isOver = left.withLock { left in
            left -= 1
            return left == 0
        }
        if isOver { kill(getpid(), SIGKILL) }
    }
}

/// A store that is in no hurry with batches, which nobody can call back: as though each had been sent just before its process
/// stood still. And one whose process dies where it was told to.
final class SteppedStore: StoreWrapper, QueueingReservationStore {
    let queueing: any QueueingReservationStore
    var inner: any ReservationStore { queueing }
    private let fate: Fate

    init(_ queueing: any QueueingReservationStore, fate: Fate) {
        (self.queueing, self.fate) = (queueing, fate)
    }

    func preparePartitions(_ count: Int) async throws(StoreError) -> [Int64] {
        try await queueing.preparePartitions(count)
    }

    func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        fate.pass(.enqueue, "before")
        let outcomes = try await queueing.enqueue(claims, in: partition, limits: limits)
        fate.pass(.enqueue, "after")
        return outcomes
    }

    func takePartition(_ partition: Int, token: Int64) async throws(StoreError) -> TakeoverOutcome {
        fate.pass(.take, "before")
        let outcome = try await queueing.takePartition(partition, token: token)
        fate.pass(.take, "after")
        return outcome
    }

    func rewind(_ partition: Int, token: Int64) async throws(StoreError) -> Bool {
        try await queueing.rewind(partition, token: token)
    }

    func decide(_ batch: QueueBatch) async throws(StoreError) -> BatchOutcome {
        let result = await Task { () -> Result<BatchOutcome, StoreError> in
            say("inside")
            fate.pass(.decide, "before")
            try? await Task.sleep(for: .milliseconds(.random(in: 2...10)))  // sleep: a slow transaction
            do throws(StoreError) {
                let outcome = try await queueing.decide(batch)
                fate.pass(.decide, "after")
                return .success(outcome)
            } catch {
                return .failure(error)
            }
        }.value
        if case .success(.superseded) = result { say("stale") }
        return try result.get()
    }

    func waiting(
        in partition: Int, after number: Int64, through last: Int64, longerThan age: Duration, limit: Int
    ) async throws(StoreError) -> [WaitingRequest] {
        try await queueing.waiting(in: partition, after: number, through: last, longerThan: age, limit: limit)
    }

    func withdraw(_ request: RequestName) async throws(StoreError) -> QueuedRequest? {
        try await queueing.withdraw(request)
    }

    func requests(_ names: [RequestName]) async throws(StoreError) -> [QueuedRequest?] {
        try await queueing.requests(names)
    }
}

/// A queue whose process dies where it was told to.
struct SteppedQueue: ReservationQueue {
    let inner: any ReservationQueue
    let fate: Fate

    func append(_ requests: [RequestName], to partition: Int) async throws(QueueError) {
        fate.pass(.append, "before")
        try await inner.append(requests, to: partition)
        fate.pass(.append, "after")
    }

    func read(
        _ partition: Int, after position: QueuePosition, limit: Int, wait: Duration
    ) async throws(QueueError) -> [QueueEntry] {
        let entries = try await inner.read(partition, after: position, limit: limit, wait: wait)
        if !entries.isEmpty { fate.pass(.read, "after") }
        return entries
    }

    func lastPosition(of partition: Int) async throws(QueueError) -> QueuePosition? {
        try await inner.lastPosition(of: partition)
    }

    func trim(_ partition: Int, served entries: [QueueEntry]) async throws(QueueError) {
        fate.pass(.trim, "before")
        try await inner.trim(partition, served: entries)
        fate.pass(.trim, "after")
    }

    func bury(_ request: RequestName, of partition: Int, reason: String) async throws(QueueError) {
        try await inner.bury(request, of: partition, reason: reason)
    }

    func announce(_ progress: QueueProgress, of partition: Int) async throws(QueueError) {
        fate.pass(.announce, "before")
        try await inner.announce(progress, of: partition)
        fate.pass(.announce, "after")
    }

    func announcements(of partition: Int) async -> AsyncStream<QueueProgress> {
        await inner.announcements(of: partition)
    }

    func touch(_ requests: [RequestName], in partition: Int) async throws(QueueError) {
        try await inner.touch(requests, in: partition)
    }

    func silent(
        among entries: [QueueEntry], of partition: Int, for silence: Duration
    ) async throws(QueueError) -> Set<RequestName> {
        try await inner.silent(among: entries, of: partition, for: silence)
    }

    func close() async { await inner.close() }
}
