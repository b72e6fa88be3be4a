import DequeModule

/// Requests of this process for one line, on their way into the store and the queue.
///
/// While one transaction is under way the next requests gather, and go together in the next: a lone request goes at once, and
/// many share the cost of a commit.
actor Intake {
    typealias Answer = Result<(IntakeOutcome, AsyncStream<TicketNews>?), StoreError>

    private struct Entry {
        let claim: Claim
        let limits: IntakeLimits
        /// How long its caller waits.
        let limit: ContinuousClock.Instant?
        let continuation: CheckedContinuation<Answer, Never>
    }

    private let partition: Int
    private let store: any QueueingReservationStore
    private let queue: any ReservationQueue
    private let board: TicketBoard
    private let observer: QueueObserver
    private var entries: Deque<Entry> = []
    private var isBusy = false

    private static let maximumBatch = 250
    private static let maximumGathered = 20_000
    private static let maximumTries = 3

    init(
        partition: Int, store: any QueueingReservationStore, queue: any ReservationQueue, board: TicketBoard,
        observer: QueueObserver
    ) {
        self.partition = partition
        self.store = store
        self.queue = queue
        self.board = board
        self.observer = observer
    }

    /// A call is not cut short by cancellation: a request that was written down is told of, and can be withdrawn.
    func enter(
        _ claim: Claim, limits: IntakeLimits, until limit: ContinuousClock.Instant?
    ) async throws(StoreError) -> (IntakeOutcome, AsyncStream<TicketNews>?) {
        guard !Task.isCancelled else { throw StoreError(.cancelled, "The task was cancelled before it was in a line.") }
        guard entries.count < Self.maximumGathered else {
            throw StoreError(.busy, "More than \(Self.maximumGathered) requests of this process wait to be accepted.")
        }
        let answer = await withCheckedContinuation { continuation in
            entries.append(Entry(claim: claim, limits: limits, limit: limit, continuation: continuation))
            if !isBusy {
                isBusy = true
                // Unstructured, for it serves all who come, and ends with the last of them.
                Task { await self.work() }
            }
        }
        return try answer.get()
    }

    private func work() async {
        while !entries.isEmpty {
            await accept(take())
        }
        isBusy = false
    }

    /// The next ones in their order, but of one name only the first: the second finds what became of it.
    private func take() -> [Entry] {
        var taken: [Entry] = []
        var names: Set<RequestName> = []
        var twins: [Entry] = []
        while taken.count < Self.maximumBatch, let entry = entries.popFirst() {
            if let name = entry.claim.request?.name, names.insert(name).inserted {
                taken.append(entry)
            } else {
                twins.append(entry)
            }
        }
        entries.prepend(contentsOf: twins)
        return taken
    }

    private func accept(_ entries: [Entry]) async {
        do throws(StoreError) {
            let outcomes = try await enqueue(entries)
            var accepted: [RequestName] = []
            var answers: [Answer] = []
            for (entry, outcome) in zip(entries, outcomes) {
                guard case .waiting(let number) = outcome, let name = entry.claim.request?.name else {
                    answers.append(.success((outcome, nil)))
                    continue
                }
                accepted.append(name)
                // Before it is in the queue: so that no decision is announced before somebody listens.
                let news = board.observe(
                    name, partition: partition, number: number, wanted: .init(entry.claim), isNew: true,
                    until: entry.limit)
                answers.append(.success((outcome, news)))
            }
            await append(accepted)
            for (entry, answer) in zip(entries, answers) { entry.continuation.resume(returning: answer) }
        } catch {
            if entries.count > 1, error.effect == .none, error.code == .failed || error.code == .refusedByConstraint {
                // One that the store cannot write down must not take the others with it.
                await accept(Array(entries[..<(entries.count / 2)]))
                await accept(Array(entries[(entries.count / 2)...]))
                return
            }
            for entry in entries { entry.continuation.resume(returning: .failure(error)) }
        }
    }

    /// Written down twice is once: every try may be repeated.
    private func enqueue(_ entries: [Entry]) async throws(StoreError) -> [IntakeOutcome] {
        let claims = entries.map(\.claim)
        let limits = entries.map(\.limits).min { $0.waiting < $1.waiting } ?? IntakeLimits(waiting: 0, perCaller: 0)
        var tries = 0
        while true {
            tries += 1
            do throws(StoreError) {
                let outcomes = try await store.enqueue(claims, in: partition, limits: limits)
                guard outcomes.count == claims.count else {
                    throw StoreError(.failed, "The store answered \(outcomes.count) of \(claims.count) requests.")
                }
                return outcomes
            } catch {
                guard error.code == .busy || error.effect == .unknown, tries < Self.maximumTries,
                    await RetryDelay().wait(after: tries)
                else { throw error }
            }
        }
    }

    /// An accepted request that does not get into the queue is put there by the line's owner later: it is late, not lost.
    private func append(_ names: [RequestName]) async {
        guard !names.isEmpty else { return }
        do throws(QueueError) {
            try await queue.append(names, to: partition)
        } catch {
            observer.trouble("Requests were accepted and could not be put into the queue; the owner will", error)
        }
    }
}
