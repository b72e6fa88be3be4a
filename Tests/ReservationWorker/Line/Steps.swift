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
final class SteppedStore: QueueingStoreWrapper {
    let queueing: any QueueingReservationStore
    private let fate: Fate
    /// A mistake that the torture must find.
    private let mutant: Torture.Mutant?
    /// What has come in, for the mutant that decides it again.
    private let known = Mutex<[RequestName: Claim]>([:])

    init(_ queueing: any QueueingReservationStore, fate: Fate, mutant: Torture.Mutant? = nil) {
        (self.queueing, self.fate, self.mutant) = (queueing, fate, mutant)
    }

    func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits
    ) async throws(StoreError) -> [IntakeOutcome] {
        fate.pass(.enqueue, "before")
        let outcomes = try await queueing.enqueue(claims, in: partition, limits: limits)
        fate.pass(.enqueue, "after")
        if mutant == .twice { remember(claims) }
        return outcomes
    }

    private func remember(_ claims: [Claim]) {
        known.withLock { known in
            for claim in claims { if let name = claim.request?.name { known[name] = claim } }
        }
    }

    /// Holds for one of the batch what it has already.
    private func decideAgain(_ verdicts: [BatchOutcome.Verdict]) async throws(StoreError) {
        let claim = known.withLock { known in
            verdicts.first { $0.kind == .held && known[$0.request] != nil }.flatMap { known[$0.request] }
        }
        guard let claim else { return }
        let again = Claim(
            id: .make(), holder: claim.holder, cart: claim.cart, ttl: claim.ttl, totalHold: claim.totalHold,
            maximumLiveHolds: nil, request: nil)
        _ = try await queueing.claim(again, by: .atomic)
    }

    func rewind(_ partition: Int, token: Int64) async throws(StoreError) -> Bool {
        // Before it is: whoever is killed in between has said it.
        say("rewinding \(partition) \(token)")
        return try await queueing.rewind(partition, token: token)
    }

    func takePartition(_ partition: Int, token: Int64) async throws(StoreError) -> TakeoverOutcome {
        fate.pass(.take, "before")
        let outcome = try await queueing.takePartition(partition, token: token)
        fate.pass(.take, "after")
        return outcome
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
        if case .success(.decided(_, let verdicts)) = result {
            say("decided \(batch.partition) \(batch.token) \(batch.from)")
            if mutant == .twice { try await decideAgain(verdicts) }
        }
        return try result.get()
    }
}

/// A queue whose process dies where it was told to.
struct SteppedQueue: QueueWrapper {
    let inner: RedisStreamQueue
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

    func trim(_ partition: Int, served entries: [QueueEntry]) async throws(QueueError) {
        fate.pass(.trim, "before")
        try await inner.trim(partition, served: entries)
        fate.pass(.trim, "after")
    }

    func announce(_ progress: QueueProgress, of partition: Int) async throws(QueueError) {
        fate.pass(.announce, "before")
        try await inner.announce(progress, of: partition)
        fate.pass(.announce, "after")
    }
}
