import HeapModule
import Synchronization

/// Who waits in this process, and for which request: told how his line moves, and what was decided.
///
/// Nobody waits on a store: the owner of a line announces how far it is served, and those whose number has come are looked up
/// together.
package final class TicketBoard: Sendable {
    typealias Observer = AsyncStream<TicketNews>.Continuation

    /// What a request asks for: of a hold that was made for it, this is not told again.
    struct Wanted: Sendable {
        let id: ReservationID
        let lines: [Line]

        init(_ claim: Claim) {
            (id, lines) = (claim.id, claim.cart.lines)
        }
    }

    /// Somebody who waits.
    fileprivate struct Waiter {
        let observer: Observer
        /// Until when.
        let limit: ContinuousClock.Instant?
    }

    fileprivate struct Slot {
        let number: Int64
        var waiters: [UInt64: Waiter] = [:]
        var wanted: Wanted?
    }

    /// A number in a line. It may stand there although nobody waits for it any more.
    fileprivate struct Turn: Comparable {
        let number: Int64
        let name: RequestName

        static func < (left: Turn, right: Turn) -> Bool { left.number < right.number }
        static func == (left: Turn, right: Turn) -> Bool { left.number == right.number }
    }

    fileprivate struct LineState {
        var slots: [RequestName: Slot] = [:]
        var turns = Heap<Turn>()
        /// To be looked up: their number has come, or it is not known whether it has.
        var late: Set<RequestName> = []
        var lookedAt: ContinuousClock.Instant?
        var served: Int64 = 0
        /// The greatest number that anybody has waited for here.
        var greatest: Int64 = 0
        var rate = ServiceRate()
        var noted: (served: Int64, decided: Int) = (0, 0)
        var heardAt: ContinuousClock.Instant?
        var toldAt: ContinuousClock.Instant?
        var told: Int64 = -1
        /// Before this, nobody's time to wait is up.
        var firstLimit: ContinuousClock.Instant?
    }

    private enum Phase {
        case new, open, closed
    }

    private struct State {
        var lines: [LineState]
        var lastObserver: UInt64 = 0
        var phase = Phase.new
        /// One for each line: something is to be looked at.
        var signallers: [AsyncStream<Void>.Continuation] = []
    }

    private let state: Mutex<State>

    init(partitions: Int) {
        state = Mutex(State(lines: Array(repeating: LineState(), count: partitions)))
    }

    // MARK: Waiting

    /// Whether somebody serves those who wait here.
    package var isOpen: Bool { state.withLock { $0.phase == .open } }

    /// Whether somebody did once, and does not any more.
    var isClosed: Bool { state.withLock { $0.phase == .closed } }

    /// - Returns: for each line, a sign that something is to be looked at; `nil` when it is open already.
    func open() -> [AsyncStream<Void>]? {
        state.withLock { state in
            guard state.phase != .open else { return nil }
            let pairs = state.lines.map { _ in
                AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            }
            state.phase = .open
            state.signallers = pairs.map(\.continuation)
            return pairs.map(\.stream)
        }
    }

    /// Ends it for all who wait: nothing is decided any more in this process.
    func close() {
        let observers = state.withLock { state in
            state.phase = .closed
            let observers = state.lines.flatMap { $0.slots.values.flatMap { $0.waiters.values.map(\.observer) } }
            for index in state.lines.indices {
                (state.lines[index].slots, state.lines[index].late) = ([:], [])
                state.lines[index].turns = Heap()
            }
            return observers
        }
        for observer in observers { observer.finish() }
    }

    /// What there is to tell about a request from now on. Ends with its decision, or without one when the board is closed.
    ///
    /// - Parameters:
    ///   - wanted: what it asks for, where that is known.
    ///   - isNew: whether it cannot have been decided yet.
    ///   - limit: when it ends with ``TicketNews/tooLate``.
    func observe(
        _ name: RequestName, partition: Int, number: Int64, wanted: Wanted?, isNew: Bool,
        until limit: ContinuousClock.Instant? = nil
    ) -> AsyncStream<TicketNews> {
        let (stream, observer) = AsyncStream.makeStream(of: TicketNews.self, bufferingPolicy: .bufferingNewest(1))
        let (id, isLate) = state.withLock { state -> (UInt64?, Bool) in
            guard state.phase == .open else { return (nil, false) }
            state.lastObserver += 1
            state.lines[partition].add(
                Waiter(observer: observer, limit: limit), state.lastObserver, to: name, number: number, wanted)
            observer.yield(.standing(state.lines[partition].standing(of: number)))
            // It may have been decided, and announced, before anybody waited.
            let isLate = !isNew || number <= state.lines[partition].served
            if isLate { state.lines[partition].late.insert(name) }
            return (state.lastObserver, isLate)
        }
        guard let id else {
            observer.finish()
            return stream
        }
        observer.onTermination = { [weak self] _ in self?.leave(name, partition: partition, id) }
        if isLate { signal(partition) }
        return stream
    }

    private func leave(_ name: RequestName, partition: Int, _ id: UInt64) {
        state.withLock { $0.lines[partition].remove(id, from: name) }
    }

    /// How many wait for it.
    package func observers(of name: RequestName) -> Int {
        state.withLock { $0.lines.reduce(0) { $0 + ($1.slots[name]?.waiters.count ?? 0) } }
    }

    /// Somebody waits for these.
    package func present(in partition: Int) -> [RequestName] {
        state.withLock { Array($0.lines[partition].slots.keys) }
    }

    // MARK: How lines move

    func standing(of number: Int64, in partition: Int) -> QueueStanding {
        state.withLock { $0.lines[partition].standing(of: number) }
    }

    func serviceTime(in partition: Int) -> Duration? {
        state.withLock { $0.lines[partition].rate.serviceTime }
    }

    /// So many in a batch, or behind it, are a line.
    private static let load = 8

    func note(_ progress: QueueProgress, of partition: Int) {
        state.withLock { state in
            state.lines[partition].served = max(state.lines[partition].served, progress.served)
            // The owner notes it at once, and hears it from the queue like everybody.
            if (progress.served, progress.decided) != state.lines[partition].noted {
                state.lines[partition].noted = (progress.served, progress.decided)
                let behind = state.lines[partition].greatest - progress.served
                state.lines[partition].rate.note(
                    decided: progress.decided, took: progress.took,
                    isLoaded: progress.decided >= Self.load || behind >= Self.load)
            }
            state.lines[partition].heardAt = .now
        }
        signal(partition)
    }

    /// What the store says: for announcements that got lost.
    func note(served: [Int64]) {
        state.withLock { state in
            for (index, number) in served.enumerated() where state.lines.indices.contains(index) {
                state.lines[index].served = max(state.lines[index].served, number)
            }
        }
    }

    /// Whether somebody waits there whose number has come, and of whom nothing was decided when last looked at.
    func hasLate(in partition: Int) -> Bool {
        state.withLock { !$0.lines[partition].late.isEmpty }
    }

    func signal(_ partition: Int) {
        let signaller = state.withLock {
            $0.signallers.indices.contains(partition) ? $0.signallers[partition] : nil
        }
        signaller?.yield()
    }

    /// The lines in which somebody waits and of which nothing was heard for so long.
    func silentLines(for silence: Duration) -> [Int] {
        let limit = ContinuousClock.now - silence
        return state.withLock { state in
            state.lines.indices.filter { index in
                let line = state.lines[index]
                return !line.slots.isEmpty && (line.heardAt.map { $0 < limit } ?? true)
            }
        }
    }

    // MARK: Deciding

    /// Takes out those whose number has come: to be looked up.
    func due(in partition: Int) -> [RequestName] {
        state.withLock { $0.lines[partition].due() }
    }

    /// It waits, with this number: when that comes, it is looked up again.
    func stillWaits(_ name: RequestName, in partition: Int, number: Int64) {
        state.withLock { $0.lines[partition].stillWaits(name, number: number) }
    }

    // Everything is told under the lock: of two things, the one that was true later is the one that is heard. A standing that
    // came behind a decision would take its place.

    /// Tells those who wait for it.
    ///
    /// - Parameter number: with which it was in the line. One who came again since waits for another decision. `nil` when
    ///   nobody knows it any more.
    func settle(_ name: RequestName, in partition: Int, number: Int64?, _ news: TicketNews) {
        let observers = state.withLock { state -> [Observer] in
            if let number, let slot = state.lines[partition].slots[name], slot.number > number { return [] }
            return state.lines[partition].takeOut(name, telling: news)
        }
        for observer in observers { observer.finish() }
    }

    /// Tells those who wait for requests that this process has decided, as far as the verdicts say it all.
    ///
    /// - Parameter served: the greatest number that has had its turn. Whoever has a greater one came again since.
    func settle(_ verdicts: [BatchOutcome.Verdict], in partition: Int, served: Int64) {
        let observers = state.withLock { state in
            verdicts.flatMap { verdict -> [Observer] in
                guard let slot = state.lines[partition].slots[verdict.request], slot.number <= served,
                    let told = slot.told(verdict)
                else { return [] }
                return state.lines[partition].takeOut(verdict.request, telling: .decided(told))
            }
        }
        for observer in observers { observer.finish() }
    }

    /// Tells those whose time to wait is up. They wait no more.
    func dismissLate(at now: ContinuousClock.Instant) {
        let observers = state.withLock { state in state.lines.indices.flatMap { state.lines[$0].dismissLate(at: now) } }
        for observer in observers { observer.finish() }
    }

    /// Tells all who wait in a line where they stand: if it has moved, and at most once within `interval`.
    func tellStandings(in partition: Int, interval: Duration) {
        state.withLock { state in
            let line = state.lines[partition]
            let now = ContinuousClock.now
            guard line.told != line.served, line.toldAt.map({ now - $0 >= interval }) ?? true else { return }
            (state.lines[partition].told, state.lines[partition].toldAt) = (line.served, now)
            for slot in line.slots.values {
                let standing = TicketNews.standing(line.standing(of: slot.number))
                for waiter in slot.waiters.values { waiter.observer.yield(standing) }
            }
        }
    }
}

extension TicketBoard.LineState {
    fileprivate mutating func add(
        _ waiter: TicketBoard.Waiter, _ id: UInt64, to name: RequestName, number: Int64, _ wanted: TicketBoard.Wanted?
    ) {
        var slot = slots[name] ?? TicketBoard.Slot(number: 0)
        if slot.number != number {
            slot = TicketBoard.Slot(number: number, waiters: slot.waiters, wanted: wanted)
            turns.insert(TicketBoard.Turn(number: number, name: name))
        }
        slot.wanted = slot.wanted ?? wanted
        slot.waiters[id] = waiter
        slots[name] = slot
        greatest = max(greatest, number)
        if let limit = waiter.limit { firstLimit = min(firstLimit ?? limit, limit) }
    }

    fileprivate mutating func remove(_ id: UInt64, from name: RequestName) {
        guard slots[name]?.waiters.removeValue(forKey: id) != nil, slots[name]?.waiters.isEmpty == true else { return }
        slots[name] = nil
        late.remove(name)
    }

    /// Returns whom to finish, without the lock.
    fileprivate mutating func takeOut(_ name: RequestName, telling news: TicketNews) -> [TicketBoard.Observer] {
        late.remove(name)
        let observers = slots.removeValue(forKey: name)?.waiters.values.map(\.observer) ?? []
        for observer in observers { observer.yield(news) }
        return observers
    }

    fileprivate mutating func dismissLate(at now: ContinuousClock.Instant) -> [TicketBoard.Observer] {
        guard let first = firstLimit, first <= now else { return [] }
        var dismissed: [TicketBoard.Observer] = []
        firstLimit = nil
        for (name, slot) in slots {
            for (id, waiter) in slot.waiters {
                guard let limit = waiter.limit else { continue }
                if limit <= now {
                    waiter.observer.yield(.tooLate)
                    dismissed.append(waiter.observer)
                    remove(id, from: name)
                } else {
                    firstLimit = min(firstLimit ?? limit, limit)
                }
            }
        }
        return dismissed
    }

    /// Few of them: all. Many are those whose place the queue has lost: all of them once in a second, or each batch would cost
    /// as much as all who wait.
    fileprivate mutating func due() -> [RequestName] {
        let now = ContinuousClock.now
        let all = late.count <= Self.few || lookedAt.map { now - $0 >= .seconds(1) } ?? true
        if all { lookedAt = now }
        var found = all ? Array(late) : []
        while let turn = turns.min, turn.number <= served {
            turns.removeMin()
            if slots[turn.name]?.number == turn.number, late.insert(turn.name).inserted { found.append(turn.name) }
        }
        return found
    }

    private static let few = 500

    fileprivate mutating func stillWaits(_ name: RequestName, number: Int64) {
        guard let slot = slots[name] else { return }
        if slot.number != number {
            slots[name] = TicketBoard.Slot(number: number, waiters: slot.waiters, wanted: slot.wanted)
            turns.insert(TicketBoard.Turn(number: number, name: name))
        }
        if number > served { late.remove(name) }
    }

    fileprivate func standing(of number: Int64) -> QueueStanding {
        let position = max(1, number - served)
        return QueueStanding(position: Int(position), estimate: rate.estimate(position: position))
    }
}

extension TicketBoard.Slot {
    /// What a verdict says to those who wait here; `nil` when it does not say it all.
    fileprivate func told(_ verdict: BatchOutcome.Verdict) -> QueuedRequest.State? {
        switch (verdict.kind, verdict.answer) {
        case (.skipped, _): return .skipped
        case (.failed, _): return .failed
        case (.refused, .refused(let outcome)?): return .decided(outcome)
        case (.held, .held(let hold)?):
            // What another call with the same key has written down may be of another id.
            guard let wanted, wanted.id == hold.id else { return nil }
            return .decided(
                .held(
                    Reservation(
                        id: hold.id, holder: verdict.request.caller, lines: wanted.lines, state: .held,
                        expiresAt: hold.expiresAt, hardDeadline: hold.hardDeadline, createdAt: hold.createdAt,
                        resolvedAt: nil)))
        default: return nil
        }
    }
}

/// What there is to tell about a request in a line.
package enum TicketNews: Sendable {
    case standing(QueueStanding)
    case decided(QueuedRequest.State)
    /// It waits for longer than its caller was to wait.
    case tooLate
}
