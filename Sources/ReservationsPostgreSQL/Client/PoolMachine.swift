import DequeModule

/// How many connections there are, and who gets which: the decisions, without sockets and without a clock of its own.
///
/// First come, first served. The connection that was used last is given first, so that those which are not needed grow old
/// and go.
struct PoolMachine {
    typealias Instant = ContinuousClock.Instant
    typealias ConnectionID = UInt64
    typealias WaiterID = UInt64

    enum Action: Equatable {
        case open(ConnectionID)
        case close(ConnectionID)
        case give(ConnectionID, to: WaiterID)
        case refuse(WaiterID, DatabaseError)
        /// Call ``PoolMachine/tick(at:)`` then.
        case tick(at: Instant)
        /// After ``PoolMachine/close()``: nothing is left.
        case finished
    }

    private enum Use: Equatable {
        case opening
        case idle(since: Instant)
        case lent
    }

    private struct Connection {
        var use: Use
        var end: Instant
    }

    private let limits: PoolLimits
    private var generator: any RandomNumberGenerator & Sendable
    private var connections: [ConnectionID: Connection] = [:]
    /// The last used at the end.
    private var idle: [ConnectionID] = []
    private var waiters: Deque<WaiterID> = []
    private var lastID: UInt64 = 0
    private var failures = 0
    private var lastFailure: DatabaseError?
    /// No attempt before.
    private var retryAt: Instant?
    private var isClosing = false
    private var isFinished = false

    init(limits: PoolLimits, generator: any RandomNumberGenerator & Sendable) {
        self.limits = limits
        self.generator = generator
    }

    var connectionCount: Int { connections.count }
    var idleCount: Int { idle.count }
    var waiterCount: Int { waiters.count }

    // MARK: Those who want a connection

    mutating func acquire(_ waiter: WaiterID, at now: Instant) -> [Action] {
        guard !isClosing else { return [.refuse(waiter, .closed)] }
        var actions = dropOld(at: now)
        if waiters.isEmpty, let id = idle.popLast() {
            connections[id]?.use = .lent
            return actions + [.give(id, to: waiter)]
        }
        if let refusal = standingRefusal(at: now) { return actions + [.refuse(waiter, refusal)] }
        guard waiters.count < limits.maximumWaiters else {
            let text = "\(waiters.count) others wait for a database connection already."
            return actions + [.refuse(waiter, DatabaseError(.exhausted, text))]
        }
        waiters.append(waiter)
        actions += serve(at: now)
        return actions
    }

    /// A server that refuses us is not asked by everyone again: those who come before the next attempt get the same answer.
    /// Not while there are connections that it has taken before: whoever waits gets one of those.
    private func standingRefusal(at now: Instant) -> DatabaseError? {
        guard !hasWorkingConnection, let lastFailure, lastFailure.code == .refused, let retryAt, now < retryAt else {
            return nil
        }
        return lastFailure
    }

    private var hasWorkingConnection: Bool {
        connections.values.contains { $0.use != .opening }
    }

    /// The waiter gives up, for it was cancelled or its time is over. The error to tell it, if it still waited.
    mutating func abandon(_ waiter: WaiterID) -> DatabaseError? {
        guard let index = waiters.firstIndex(of: waiter) else { return nil }
        waiters.remove(at: index)
        if let lastFailure, lastFailure.code != .refused || !hasWorkingConnection { return lastFailure }
        return DatabaseError(
            .exhausted, "No database connection became free in time: all \(connections.count) are in use.")
    }

    mutating func release(_ id: ConnectionID, isUsable: Bool, at now: Instant) -> [Action] {
        guard let connection = connections[id], connection.use == .lent else { return [] }
        guard isUsable, !isClosing, now < connection.end else { return remove(id) + serve(at: now) }
        connections[id]?.use = .idle(since: now)
        idle.append(id)
        return serve(at: now)
    }

    // MARK: Connections

    mutating func opened(_ id: ConnectionID, at now: Instant) -> [Action] {
        guard connections[id]?.use == .opening else { return [.close(id)] }
        (failures, lastFailure, retryAt) = (0, nil, nil)
        guard !isClosing else { return remove(id) }
        // Not all at the same time later, only because they came at the same time.
        let life = limits.lifetime * Double.random(in: 0.9...1, using: &generator)
        connections[id] = Connection(use: .idle(since: now), end: now + life)
        idle.append(id)
        return serve(at: now)
    }

    mutating func openFailed(_ id: ConnectionID, _ error: DatabaseError, at now: Instant) -> [Action] {
        connections[id] = nil
        guard !isClosing else { return finishIfDone() }
        lastFailure = error
        let ceiling = min(limits.backOffBase * (1 << min(failures, 20)), limits.backOffCeiling)
        failures += 1
        let retryAt = now + ceiling * Double.random(in: 0.5...1, using: &generator)
        self.retryAt = retryAt
        // A server that is away may come back while they wait; one that refuses us will not.
        var actions: [Action] = []
        if error.code == .refused, !hasWorkingConnection {
            actions = waiters.map { .refuse($0, error) }
            waiters.removeAll()
        }
        return actions + [.tick(at: retryAt)]
    }

    /// An idle connection broke.
    mutating func lost(_ id: ConnectionID, at now: Instant) -> [Action] {
        guard connections[id] != nil else { return [] }
        idle.removeAll { $0 == id }
        return remove(id) + serve(at: now)
    }

    /// Drops what is old, and keeps the least number up.
    mutating func tick(at now: Instant) -> [Action] {
        guard !isClosing else { return [] }
        let actions = dropOld(at: now) + serve(at: now)
        // Whoever waits for ticks keeps the earliest: one that comes before the next attempt must not be the last.
        guard let retryAt, now < retryAt else { return actions }
        return actions + [.tick(at: retryAt)]
    }

    mutating func close() -> [Action] {
        guard !isClosing else { return [] }
        isClosing = true
        var actions: [Action] = waiters.map { .refuse($0, .closed) }
        waiters.removeAll()
        for id in idle { actions += remove(id) }
        idle.removeAll()
        return actions + finishIfDone()
    }

    // MARK: Rules

    private mutating func serve(at now: Instant) -> [Action] {
        var actions: [Action] = []
        while !waiters.isEmpty, let id = idle.popLast() {
            connections[id]?.use = .lent
            if let waiter = waiters.popFirst() { actions.append(.give(id, to: waiter)) }
        }
        return actions + openMore(at: now)
    }

    /// One attempt for each that waits, and up to the least number; one at a time while the server is away.
    private mutating func openMore(at now: Instant) -> [Action] {
        guard !isClosing else { return [] }
        let opening = connections.values.count { $0.use == .opening }
        let isProbing = lastFailure != nil
        if let retryAt, now < retryAt { return [] }
        var wanted = max(waiters.count - opening, limits.minimum - connections.count)
        wanted = min(wanted, limits.maximum - connections.count)
        if isProbing { wanted = min(wanted, 1 - opening) }
        guard wanted > 0 else { return [] }
        return (0..<wanted).map { _ in
            lastID += 1
            connections[lastID] = Connection(use: .opening, end: now)
            return .open(lastID)
        }
    }

    private mutating func dropOld(at now: Instant) -> [Action] {
        var actions: [Action] = []
        for id in idle {
            guard let connection = connections[id], case .idle(let since) = connection.use else { continue }
            let isSpare = connections.count > limits.minimum && now - since >= limits.idleTime
            guard now >= connection.end || isSpare else { continue }
            idle.removeAll { $0 == id }
            actions += remove(id)
        }
        return actions
    }

    private mutating func remove(_ id: ConnectionID) -> [Action] {
        connections[id] = nil
        return [.close(id)] + finishIfDone()
    }

    private mutating func finishIfDone() -> [Action] {
        guard isClosing, connections.isEmpty, !isFinished else { return [] }
        isFinished = true
        return [.finished]
    }
}

/// How many connections there may be, and for how long.
struct PoolLimits {
    var minimum: Int
    var maximum: Int
    var maximumWaiters: Int
    var lifetime: Duration
    var idleTime: Duration
    var backOffBase: Duration = .milliseconds(50)
    var backOffCeiling: Duration = .seconds(5)
}

extension DatabaseError {
    static let closed = DatabaseError(.closed, "The database client was closed.")
}
