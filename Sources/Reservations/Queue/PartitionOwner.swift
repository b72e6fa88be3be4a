import RedisLocks

/// The one who decides on the requests of a line, in this process: while it has the line's lock.
struct PartitionOwner {
    private let partition: Int
    private let line: WaitingLine
    private var store: any QueueingReservationStore { line.store }
    private var queue: any ReservationQueue { line.queue }

    init(_ partition: Int, of line: WaitingLine) {
        self.partition = partition
        self.line = line
    }

    /// Until the task is cancelled.
    func run() async {
        var failures = 0
        while !Task.isCancelled {
            do {
                try await line.locks.withLock(
                    "\(line.configuration.lockPrefix)\(partition)", ttl: line.configuration.ownerTTL,
                    wait: .upTo(.seconds(3_600))
                ) { lease in
                    try await own(token: lease.fencingToken)
                }
                failures = 0
            } catch {
                guard !Task.isCancelled else { return }
                failures = (error as? LockError)?.code == .waitTimedOut ? 0 : failures + 1
                line.observer.ownershipEnded(partition, error)
                _ = await RetryDelay(shortest: .milliseconds(50), longest: .seconds(2)).wait(after: failures)
            }
        }
    }

    /// Decides until the lease is lost, which cancels the task, or somebody else owns the line, which ends it.
    private func own(token: Int64) async throws {
        var reign = Reign(token: token, batch: line.configuration.maximumBatch, at: line.now())
        let end: Result<Void, any Error>
        do {
            try await decide(&reign)
            end = .success(())
        } catch {
            end = .failure(error)
        }
        await reign.announcement?.value
        try end.get()
    }

    private func decide(_ reign: inout Reign) async throws {
        while !Task.isCancelled {
            do {
                guard try await takeOver(&reign) else { return }
                while try await serve(&reign) {}
                return
            } catch let error as QueueError {
                try await recover(from: error, "The queue cannot be read", &reign)
            } catch let error as StoreError {
                // Perhaps it is too much for one transaction: a batch that never ends in time must not stop the line.
                if error.code == .busy { reign.batch = max(1, reign.batch / 2) }
                try await recover(from: error, "The store cannot decide on a batch", &reign)
            }
        }
    }

    /// What an owner knows.
    struct Reign {
        let token: Int64
        var position = QueuePosition.start
        var served: Int64 = 0
        /// How many requests to take at once.
        var batch: Int
        /// Since when everybody has had the chance to show presence.
        var listeningSince: ContinuousClock.Instant
        var sweptAt = ContinuousClock.now
        /// Put into the queue again by this owner, and not seen since, though the line may have come past them.
        var requeued: Set<RequestName> = []
        /// Where the last of them stands: behind it, whoever was not seen is not in the queue.
        var requeuedThrough = QueuePosition.start
        var failures = 0
        /// Of the last batch, under way.
        var announcement: Task<Void, Never>?

        init(token: Int64, batch: Int, at now: ContinuousClock.Instant) {
            self.token = token
            listeningSince = now
            self.batch = batch
        }
    }

    private func recover(from error: any Error, _ sentence: String, _ reign: inout Reign) async throws {
        // An orderly end is no trouble.
        try Task.checkCancellation()
        reign.failures += 1
        // Whoever was cut off could not show that he was there.
        reign.listeningSince = line.now()
        line.observer.trouble(sentence, error)
        guard await RetryDelay(shortest: .milliseconds(20), longest: .seconds(1)).wait(after: reign.failures) else {
            throw CancellationError()
        }
    }

    /// Where to go on. `false` when somebody with a greater token owns the line.
    private func takeOver(_ reign: inout Reign) async throws -> Bool {
        switch try await store.takePartition(partition, token: reign.token) {
        case .staleFence(let seen):
            // Our lease lives and a greater token was here: the source of tokens is behind. Never written around.
            line.observer.staleToken(partition, token: reign.token, seen: seen)
            try await Task.sleep(for: .seconds(1))
            return false
        case .taken(let position, let served):
            (reign.position, reign.served) = (position, served)
        }
        line.observer.took(partition, token: reign.token)
        return try await rewindIfLost(&reign)
    }

    /// A queue whose last entry stands before ours has lost what was in it: all that wait are put there again.
    private func rewindIfLost(_ reign: inout Reign) async throws -> Bool {
        let last = try await queue.lastPosition(of: partition)
        guard last ?? .start < reign.position else { return true }
        // Lest it trims what is put there again.
        await reign.announcement?.value
        guard try await store.rewind(partition, token: reign.token) else { return false }
        reign.position = .start
        reign.requeued = []
        line.observer.queueLost(partition)
        try await requeue(through: .max, longerThan: .zero, &reign)
        return true
    }

    // MARK: One batch

    /// `false` when somebody else owns the line.
    private func serve(_ reign: inout Reign) async throws -> Bool {
        let entries = try await queue.read(
            partition, after: reign.position, limit: reign.batch, wait: .seconds(1))
        guard !entries.isEmpty else {
            reign.failures = 0
            // The line is empty: whoever waits all the same is not in the queue.
            reign.requeued = []
            try await requeue(through: .max, longerThan: line.configuration.intakeGrace, &reign)
            return try await rewindIfLost(&reign)
        }
        let start = ContinuousClock.now
        let turns = try await turns(for: entries, reign)
        var batches = [Batch(turns: Array(zip(entries.map(\.position), turns)))]
        var decided = 0
        while !batches.isEmpty {
            let batch = batches.removeFirst()
            switch try await decide(batch, reign) {
            case .superseded: return false
            case .split(let halves): batches = halves + batches
            case .decided(let served, let verdicts, let through):
                (reign.position, reign.served) = (through, max(reign.served, served))
                decided += verdicts.count
                line.observer.decided(verdicts, in: partition)
                line.board.settle(verdicts, in: partition, served: served)
                await bury(verdicts)
            }
        }
        reign.failures = 0
        reign.requeued.subtract(entries.map(\.request))
        if reign.position >= reign.requeuedThrough { reign.requeued = [] }
        await note(entries, decided: decided, took: .now - start, &reign)
        if .now - reign.sweptAt > line.configuration.intakeGrace {
            // The line has gone past their numbers: they are not in the queue.
            try await requeue(through: reign.served, longerThan: line.configuration.intakeGrace, &reign)
        }
        return true
    }

    private func turns(for entries: [QueueEntry], _ reign: Reign) async throws -> [QueueBatch.Turn] {
        var silent: Set<RequestName> = []
        if let silence = line.configuration.silence {
            // Asked from the beginning: whether the queue's clock jumps is seen by looking at it now and then.
            let found = try await queue.silent(among: entries, of: partition, for: silence)
            if line.now() - max(reign.listeningSince, line.presentSince()) > silence { silent = found }
        }
        return entries.map { QueueBatch.Turn($0.request, silent.contains($0.request) ? .skip : .decide) }
    }

    /// Entries with what to do about them.
    private struct Batch {
        var turns: [(position: QueuePosition, turn: QueueBatch.Turn)]
        var failures = 0
    }

    private enum Step {
        case decided(served: Int64, [BatchOutcome.Verdict], through: QueuePosition)
        case split([Batch])
        case superseded
    }

    private func decide(_ batch: Batch, _ reign: Reign) async throws -> Step {
        guard let through = batch.turns.last?.position else { return .split([]) }
        var isFinal = false
        while true {
            let attempt = QueueBatch(
                partition: partition, token: reign.token, from: reign.position, through: through,
                turns: batch.turns.map(\.turn), isFinal: isFinal)
            do throws(StoreError) {
                switch try await store.decide(attempt) {
                case .decided(let served, let verdicts):
                    return .decided(served: served, verdicts, through: through)
                case .superseded: return .superseded
                case .overdue(let buckets):
                    isFinal = true
                    try await expire(buckets)
                }
            } catch {
                let next = try Self.afterFailure(batch, error, line.observer)
                // What fails for a moment is not taken for a request that cannot be decided.
                guard
                    await RetryDelay(shortest: .milliseconds(5), longest: .milliseconds(100)).wait(
                        after: batch.failures + 1)
                else { throw StoreError(.cancelled, "The task was cancelled before the batch was tried again.") }
                return .split(next)
            }
        }
    }

    /// All that is overdue there: nobody is refused for units that are only not given back yet.
    private func expire(_ buckets: [Bucket]) async throws(StoreError) {
        var count: Int
        repeat {
            count = try await store.expire(buckets, limit: Self.sweepBatch).count
            line.observer.expired(count)
        } while count == Self.sweepBatch
    }

    private static let sweepBatch = 1_000
    private static let maximumFailures = 3

    /// A batch that fails for no passing reason is tried again, then halved until the request that is at fault stands alone.
    private static func afterFailure(_ batch: Batch, _ error: StoreError, _ observer: QueueObserver) throws -> [Batch] {
        guard error.effect == .none, error.code == .failed || error.code == .refusedByConstraint else { throw error }
        observer.trouble("A batch cannot be decided", error)
        var batch = batch
        batch.failures += 1
        guard batch.failures >= maximumFailures else { return [batch] }
        guard batch.turns.count > 1 else {
            // Not even that it fails can be written down: then it is not the request's fault.
            guard batch.turns.allSatisfy({ $0.turn.treatment == .decide }) else { throw error }
            batch.turns = batch.turns.map { ($0.position, QueueBatch.Turn($0.turn.request, .fail)) }
            return [batch]
        }
        let middle = batch.turns.count / 2
        return [Batch(turns: Array(batch.turns[..<middle])), Batch(turns: Array(batch.turns[middle...]))]
    }

    /// For operators. The store knows of it in any case: a line does not stand still for it.
    private func bury(_ verdicts: [BatchOutcome.Verdict]) async {
        for verdict in verdicts where verdict.kind == .failed {
            do throws(QueueError) {
                try await queue.bury(verdict.request, of: partition, reason: "It could not be decided; see the log.")
            } catch {
                line.observer.trouble("A request that cannot be decided cannot be kept aside in the queue", error)
            }
        }
    }

    private func note(_ entries: [QueueEntry], decided: Int, took: Duration, _ reign: inout Reign) async {
        let limit = line.configuration
        if took > limit.batchTime { reign.batch = max(1, reign.batch / 2) }
        if took < limit.batchTime / 2 { reign.batch = min(limit.maximumBatch, reign.batch * 2) }
        let progress = QueueProgress(served: reign.served, decided: decided, took: took)
        line.board.note(progress, of: partition)
        // Beside the next batch, and one at a time. Unstructured, for what is committed is announced although the lease was
        // lost meanwhile; `own` waits for it.
        await reign.announcement?.value
        reign.announcement = Task { await announce(progress, entries) }
    }

    /// What may get lost: others are told, and what is done with is forgotten.
    private func announce(_ progress: QueueProgress, _ entries: [QueueEntry]) async {
        do throws(QueueError) {
            try await queue.announce(progress, of: partition)
            try await queue.trim(partition, served: entries)
        } catch {
            line.observer.trouble("A decided batch cannot be announced", error)
        }
    }

    // MARK: What the queue lost

    /// Puts requests into the queue that should be there and are not, the oldest first. Those that are there after all come
    /// twice, which does nothing.
    private func requeue(through last: Int64, longerThan age: Duration, _ reign: inout Reign) async throws {
        reign.sweptAt = .now
        var number: Int64 = 0
        while !Task.isCancelled {
            let found = try await store.waiting(
                in: partition, after: number, through: last, longerThan: age, limit: Self.requeueLimit)
            let names = found.map(\.name).filter { !reign.requeued.contains($0) }
            if !names.isEmpty {
                try await queue.append(names, to: partition)
                reign.requeued.formUnion(names)
                reign.requeuedThrough = try await queue.lastPosition(of: partition) ?? .start
                line.observer.requeued(names.count, partition)
            }
            guard found.count == Self.requeueLimit, let furthest = found.last?.number else { return }
            number = furthest
        }
    }

    private static let requeueLimit = 500
}
