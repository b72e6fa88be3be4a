#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import GRDB
import Reservations

/// The waiting line. One transaction writes at a time, so whatever is read here is what will be written over.
extension Tables {
    private struct Partition {
        let token: Int64
        let position: String
        let served: Int64
        let accepted: Int64
    }

    private func partition(_ number: Int) throws -> Partition {
        let found = try first(SQL.partition, [number]) { row in
            Partition(
                token: try row.decode(atIndex: 0), position: try row.decode(atIndex: 1),
                served: try row.decode(atIndex: 2), accepted: try row.decode(atIndex: 3))
        }
        guard let found else { throw StoreError.unknownPartition(number) }
        return found
    }

    func preparePartitions(_ count: Int) throws -> Verdict<[Int64]> {
        var served = try partitionsServed()
        let isNew = served.isEmpty
        if isNew {
            for number in 0..<count { try run(SQL.insertPartition, [number]) }
            served = try partitionsServed()
        }
        guard served.count == count else { throw StoreError.otherPartitions(there: served.count, wanted: count) }
        return isNew ? .keep(served) : .drop(served)
    }

    func partitionsServed() throws -> [Int64] {
        try all(SQL.partitionsServed, []) { try $0.decode(atIndex: 0) }
    }

    /// Behind this number, all have had their turn or left.
    private func served(_ number: Int, _ partition: Partition) throws -> Int64 {
        let first =
            try first(SQL.firstWaiting, [number, partition.served]) { try $0.decode(Int64?.self, atIndex: 0) } ?? nil
        return max(partition.served, first.map { $0 - 1 } ?? partition.accepted)
    }

    func lag() throws -> [LineLag] {
        let lines = try all(SQL.lags, []) { row in
            (
                partition: try row.decode(Int.self, atIndex: 0), served: try row.decode(Int64.self, atIndex: 1),
                accepted: try row.decode(Int64.self, atIndex: 2), since: try row.decode(Int64?.self, atIndex: 3)
            )
        }
        return try lines.map { line in
            guard let since = line.since else { return LineLag(waiting: 0, oldest: nil) }
            let first = try first(SQL.firstWaiting, [line.partition, line.served]) {
                try $0.decode(Int64?.self, atIndex: 0)
            }
            let gone = (first ?? nil).map { $0 - 1 } ?? line.accepted
            let waiting = max(1, line.accepted - max(line.served, gone))
            return LineLag(waiting: Int(clamping: waiting), oldest: .milliseconds(max(0, now - since)))
        }
    }

    // MARK: Intake

    func enqueue(_ claims: [Claim], in partition: Int, limits: IntakeLimits) throws -> Verdict<[IntakeOutcome]> {
        let before = try self.partition(partition)
        let gone = try served(partition, before)
        var accepted = before.accepted
        let outcomes = try claims.map { claim -> IntakeOutcome in
            guard let request = claim.request else { throw StoreError.keyless }
            if let known = try known(request) { return known }
            let waiting = Int(clamping: accepted - gone)
            guard waiting < limits.waiting else { return .full(waiting: waiting) }
            let own = try first(SQL.waitingOfCaller, [claim.holder]) { try $0.decode(Int.self, atIndex: 0) } ?? 0
            guard own < limits.perCaller else { return .callerLimit(current: own) }
            accepted += 1
            try run(
                SQL.enqueue,
                [
                    request.caller, request.key, request.operation, request.fingerprint, partition, accepted,
                    StoredClaim(claim).text, now,
                ])
            return .waiting(number: accepted)
        }
        guard accepted > before.accepted else { return .drop(outcomes) }
        try run(SQL.acceptInPartition, [accepted, partition])
        return .keep(outcomes)
    }

    /// What a repeated request is answered; `nil` for one that may wait, again or for the first time.
    private func known(_ request: RequestKey) throws -> IntakeOutcome? {
        switch try replay(of: request) {
        case .reused, .bucket: return .key(.reused)
        case .reservation(let id):
            guard let found = try reservation(id, holder: nil) else { throw Self.lost }
            return .decided(.replayed(found))
        case .isNew, .waiting: break
        }
        guard let entry = try queued(request.name) else { return nil }
        switch entry.request.state {
        case .waiting: return .waiting(number: entry.request.number)
        case .decided(let outcome) where !outcome.mayPass: return .decided(outcome)
        case .decided, .withdrawn, .skipped, .failed: return nil
        }
    }

    struct Queued {
        let request: QueuedRequest
        let key: RequestKey
        let claim: String?
    }

    private func queued(_ name: RequestName) throws -> Queued? {
        try first(SQL.queuedRequest, [name.caller, name.key]) { row in
            let state = try self.state(
                row.decode(RequestState.self, 2), answer: try row.decode(atIndex: 6),
                reservation: try row.decode(UUID?.self, atIndex: 7))
            return Queued(
                request: QueuedRequest(
                    partition: try row.decode(atIndex: 0), number: try row.decode(atIndex: 1), state: state),
                key: RequestKey(
                    caller: name.caller, key: name.key, operation: try row.decode(atIndex: 3),
                    fingerprint: try row.decode(atIndex: 4)),
                claim: try row.decode(atIndex: 5))
        }
    }

    enum RequestState: String {
        case queued, done, refused, withdrawn, skipped, failed
    }

    private func state(_ state: RequestState, answer: String?, reservation: UUID?) throws -> QueuedRequest.State {
        switch state {
        case .queued: return .waiting
        case .withdrawn: return .withdrawn
        case .skipped: return .skipped
        case .failed: return .failed
        case .done, .refused:
            if let reservation {
                guard let found = try self.reservation(ReservationID(reservation), holder: nil) else { throw Self.lost }
                return .decided(.replayed(found))
            }
            return .decided(try StoreError.decode(StoredRefusal.self, answer ?? "").outcome)
        }
    }

    // MARK: The owner

    func takePartition(_ number: Int, token: Int64) throws -> Verdict<TakeoverOutcome> {
        let before = try partition(number)
        guard before.token <= token else { return .drop(.staleFence(seen: before.token)) }
        guard let position = QueuePosition(before.position) else { throw Self.lost }
        try run(SQL.takePartition, [token, number, token])
        return .keep(.taken(position: position, served: before.served))
    }

    func rewind(_ number: Int, token: Int64) throws -> Verdict<Bool> {
        .keep(try run(SQL.rewindPartition, [QueuePosition.start.description, number, token]) == 1)
    }

    func decide(_ batch: QueueBatch) throws -> Verdict<BatchOutcome> {
        let before = try partition(batch.partition)
        guard before.token == batch.token, before.position == batch.from.description else { return .drop(.superseded) }
        var decision = BatchDecision(tables: self, isFinal: batch.isFinal)
        var verdicts: [BatchOutcome.Verdict] = []
        var served = before.served
        for turn in batch.turns {
            guard let entry = try queued(turn.request), entry.request.state == .waiting,
                entry.request.partition == batch.partition
            else { continue }
            served = max(served, entry.request.number)
            verdicts.append(try decision.decide(turn, entry))
        }
        guard decision.overdue.isEmpty else { return .drop(.overdue(decision.overdue.sorted())) }
        try decision.finish()
        let moved = try run(
            SQL.movePartition,
            [batch.through.description, served, batch.partition, batch.token, batch.from.description])
        guard moved == 1 else { throw Self.lost }
        return .keep(.decided(served: served, verdicts))
    }

    func end(_ name: RequestName, as state: RequestState, answer: String? = nil) throws {
        try run(SQL.endQueued, [state.rawValue, answer, name.caller, name.key])
    }

    // MARK: Those who wait

    func waiting(
        in partition: Int, after number: Int64, through last: Int64, longerThan age: Duration, limit: Int
    ) throws -> [WaitingRequest] {
        try all(SQL.waiting, [partition, number, last, now - age.milliseconds, max(limit, 0)]) { row in
            WaitingRequest(
                name: RequestName(caller: try row.decode(atIndex: 0), key: try row.decode(atIndex: 1)),
                number: try row.decode(atIndex: 2))
        }
    }

    func withdraw(_ name: RequestName) throws -> Verdict<QueuedRequest?> {
        try end(name, as: .withdrawn)
        return .keep(try request(name))
    }

    func request(_ name: RequestName) throws -> QueuedRequest? {
        try queued(name)?.request
    }

    func isHeldOverdue(_ bucket: Int64) throws -> Bool {
        try first(SQL.overdueOn, [bucket, now]) { _ in true } ?? false
    }
}
