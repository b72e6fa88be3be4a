#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// The tables of the waiting line.
package struct Lines: Sendable {
    package struct Partition: Sendable {
        package var accepted: Int64 = 0
        package var served: Int64 = 0
        package var token: Int64 = 0
        package var position = QueuePosition.start
    }

    package struct Entry: Sendable {
        package let claim: Claim
        package let partition: Int
        package let number: Int64
        package let since: Date
        package var state: QueuedRequest.State
    }

    package var partitions: [Partition] = []
    package private(set) var entries: [RequestName: Entry] = [:]
    /// How many wait, for each caller's name as bytes; and for each partition, their numbers.
    private var waitingOfCaller: [[UInt8]: Int] = [:]
    private var waitingIn: [Int: Set<Int64>] = [:]

    package init() {}

    package func waiting(of caller: String) -> Int { waitingOfCaller[Array(caller.utf8)] ?? 0 }

    package mutating func set(_ entry: Entry?, for name: RequestName) {
        if let old = entries[name], old.state == .waiting {
            waitingOfCaller[Array(name.caller.utf8), default: 0] -= 1
            waitingIn[old.partition]?.remove(old.number)
        }
        entries[name] = entry
        guard let entry, entry.state == .waiting else { return }
        waitingOfCaller[Array(name.caller.utf8), default: 0] += 1
        waitingIn[entry.partition, default: []].insert(entry.number)
    }

    /// The greatest number behind which all have had their turn or left, or that was served.
    package func served(_ partition: Int) -> Int64 {
        let line = partitions[partition]
        guard let waiting = waitingIn[partition], !waiting.isEmpty else { return line.accepted }
        // The usual case, and the cheap one.
        if waiting.contains(line.served + 1) { return line.served }
        return waiting.lazy.filter { $0 > line.served }.min().map { $0 - 1 } ?? line.accepted
    }
}

extension Book {
    package mutating func preparePartitions(_ count: Int) throws(StoreError) -> [Int64] {
        if lines.partitions.isEmpty {
            lines.partitions = Array(repeating: Lines.Partition(), count: count)
        }
        guard lines.partitions.count == count else {
            throw .otherPartitions(there: lines.partitions.count, wanted: count)
        }
        return lines.partitions.indices.map(lines.served)
    }

    private func partition(_ number: Int) throws(StoreError) -> Lines.Partition {
        guard lines.partitions.indices.contains(number) else { throw .unknownPartition(number) }
        return lines.partitions[number]
    }

    // MARK: Intake

    package mutating func enqueue(
        _ claims: [Claim], in partition: Int, limits: IntakeLimits, now: Date
    ) throws(StoreError) -> [IntakeOutcome] {
        _ = try self.partition(partition)
        return try claims.map { claim throws(StoreError) in
            try enqueue(claim, in: partition, limits: limits, now: now)
        }
    }

    private mutating func enqueue(
        _ claim: Claim, in index: Int, limits: IntakeLimits, now: Date
    ) throws(StoreError) -> IntakeOutcome {
        guard let request = claim.request else { throw .keyless }
        if let known = try known(request, now: now) { return known }
        let waiting = Int(lines.partitions[index].accepted - lines.served(index))
        guard waiting < limits.waiting else { return .full(waiting: waiting) }
        let own = lines.waiting(of: claim.holder)
        guard own < limits.perCaller else { return .callerLimit(current: own) }
        let number = lines.partitions[index].accepted + 1
        lines.partitions[index].accepted = number
        let entry = Lines.Entry(claim: claim, partition: index, number: number, since: now, state: .waiting)
        lines.set(entry, for: request.name)
        return .waiting(number: number)
    }

    /// What a repeated request is answered; `nil` for one that may wait, again or for the first time.
    private func known(_ request: RequestKey, now: Date) throws(StoreError) -> IntakeOutcome? {
        switch replay(of: request) {
        case .answer(.reservation(let id)):
            guard let found = reservation(id, holder: nil, now: now) else { throw Self.lost }
            return .decided(.replayed(found))
        case .reused, .answer: return .key(.reused)
        case .isNew, .waiting: break
        }
        guard let entry = lines.entries[request.name] else { return nil }
        switch entry.state {
        case .waiting: return .waiting(number: entry.number)
        case .decided(let outcome) where !outcome.mayPass: return .decided(seen(outcome, now: now))
        case .decided, .withdrawn, .skipped, .failed: return nil
        }
    }

    private func seen(_ outcome: ClaimOutcome, now: Date) -> ClaimOutcome {
        switch outcome {
        case .held(let reservation), .replayed(let reservation):
            .replayed(self.reservation(reservation.id, holder: nil, now: now) ?? reservation)
        default: outcome
        }
    }

    // MARK: The owner

    package mutating func takePartition(_ index: Int, token: Int64) throws(StoreError) -> TakeoverOutcome {
        let partition = try partition(index)
        guard partition.token <= token else { return .staleFence(seen: partition.token) }
        lines.partitions[index].token = token
        return .taken(position: partition.position, served: partition.served)
    }

    package mutating func rewind(_ index: Int, token: Int64) throws(StoreError) -> Bool {
        guard try partition(index).token == token else { return false }
        lines.partitions[index].position = .start
        return true
    }

    package mutating func decide(_ batch: QueueBatch, now: Date) throws(StoreError) -> BatchOutcome {
        let partition = try partition(batch.partition)
        guard partition.token == batch.token, partition.position == batch.from else { return .superseded }
        // Tried on a copy: all of it or nothing.
        var draft = self
        var verdicts: [BatchOutcome.Verdict] = []
        var overdue: Set<Bucket> = []
        for turn in batch.turns {
            guard var entry = draft.lines.entries[turn.request], entry.partition == batch.partition,
                entry.state == .waiting
            else { continue }
            let state: QueuedRequest.State
            switch turn.treatment {
            case .skip: state = .skipped
            case .fail: state = .failed
            case .decide:
                let outcome = try draft.claim(entry.claim, by: .atomic, now: now, takesTurn: true)
                if case .short(let shortages) = outcome, !batch.isFinal {
                    overdue.formUnion(draft.overdue(on: shortages.map(\.bucket), now: now))
                }
                state = .decided(outcome)
            }
            entry.state = state
            draft.lines.set(entry, for: turn.request)
            draft.lines.partitions[batch.partition].served = max(
                entry.number, draft.lines.partitions[batch.partition].served)
            verdicts.append(.init(turn.request, state.verdict, state.answer))
        }
        guard overdue.isEmpty else { return .overdue(overdue.sorted()) }
        draft.lines.partitions[batch.partition].position = batch.through
        self = draft
        return .decided(served: lines.partitions[batch.partition].served, verdicts)
    }

    private func overdue(on buckets: [Bucket], now: Date) -> [Bucket] {
        let late = holds.compactMap { reservations[$0] }.filter { $0.expiresAt <= now }.flatMap(\.lines)
        return buckets.filter { bucket in late.contains { $0.bucket == bucket } }
    }

    // MARK: Those who wait

    package func lag(now: Date) -> [LineLag] {
        lines.partitions.indices.map { index in
            let since = lines.entries.values.filter { $0.partition == index && $0.state == .waiting }.map(\.since).min()
            guard let since else { return LineLag(waiting: 0, oldest: nil) }
            let waiting = max(1, lines.partitions[index].accepted - lines.served(index))
            return LineLag(
                waiting: Int(clamping: waiting), oldest: .seconds(max(0, now.timeIntervalSince(since))))
        }
    }

    package func waiting(
        in partition: Int, after number: Int64, through last: Int64, since limit: Date, count: Int
    ) -> [WaitingRequest] {
        let found = lines.entries.filter { _, entry in
            entry.state == .waiting && entry.partition == partition && entry.number > number && entry.number <= last
                && entry.since <= limit
        }
        let sorted = found.map { WaitingRequest(name: $0.key, number: $0.value.number) }.sorted {
            $0.number < $1.number
        }
        return Array(sorted.prefix(max(count, 0)))
    }

    package mutating func withdraw(_ name: RequestName, now: Date) -> QueuedRequest? {
        if var entry = lines.entries[name], entry.state == .waiting {
            entry.state = .withdrawn
            lines.set(entry, for: name)
        }
        return request(name, now: now)
    }

    package func request(_ name: RequestName, now: Date) -> QueuedRequest? {
        guard let entry = lines.entries[name] else { return nil }
        let state: QueuedRequest.State =
            if case .decided(let outcome) = entry.state { .decided(seen(outcome, now: now)) } else { entry.state }
        return QueuedRequest(partition: entry.partition, number: entry.number, state: state)
    }
}

extension QueuedRequest.State {
    fileprivate var answer: BatchOutcome.Answer? {
        switch self {
        case .decided(.held(let reservation)), .decided(.replayed(let reservation)): .held(.init(reservation))
        case .decided(let outcome): .refused(outcome)
        case .skipped, .failed, .waiting, .withdrawn: nil
        }
    }

    fileprivate var verdict: BatchOutcome.Verdict.Kind {
        switch self {
        case .decided(.held), .decided(.replayed): .held
        case .skipped: .skipped
        case .failed: .failed
        case .decided, .waiting, .withdrawn: .refused
        }
    }
}

extension StoreError {
    package static func otherPartitions(there: Int, wanted: Int) -> StoreError {
        StoreError(
            .misconfigured,
            "The store has \(there) partitions, and \(wanted) are configured: their number cannot be changed while it is used."
        )
    }

    package static func unknownPartition(_ partition: Int) -> StoreError {
        StoreError(.misconfigured, "There is no partition \(partition): prepare the partitions first.")
    }

    package static var keyless: StoreError {
        StoreError(.failed, "A request that waits needs an idempotency key.")
    }
}
