import Synchronization

/// The part of a lease that its holder may look at from any thread. The engine writes it.
package final class LeaseState: Sendable {
    package enum Status: Sendable, Equatable {
        case held
        case lost(LeaseLossReason)
        case released
    }

    private struct Fields {
        var status = Status.held
        var deadline: ContinuousClock.Instant
        /// Somebody was told that the deadline has passed: no renewal may take that back.
        var wasSeenExpired = false
        var nextObserver: UInt64 = 0
        var observers: [UInt64: @Sendable (LeaseEvent?) -> Void] = [:]
    }

    package let names: [LockName]
    package let token: Int64
    /// The latest deadline that the maximum hold allows.
    package let latestDeadline: ContinuousClock.Instant?
    private let fields: Mutex<Fields>

    package init(
        names: [LockName], token: Int64, deadline: ContinuousClock.Instant,
        latestDeadline: ContinuousClock.Instant? = nil
    ) {
        self.names = names
        self.token = token
        self.latestDeadline = latestDeadline
        fields = Mutex(Fields(deadline: deadline))
    }

    package var deadline: ContinuousClock.Instant { fields.withLock { $0.deadline } }

    /// The status as far as it is known at `now`: a lease past its deadline is lost, whether or not anybody has noticed.
    package func status(at now: ContinuousClock.Instant) -> Status {
        fields.withLock { fields in
            guard fields.status == .held, now >= fields.deadline else { return fields.status }
            fields.wasSeenExpired = true
            return .lost(fields.deadline == latestDeadline ? .maximumHold : .expired)
        }
    }

    // MARK: For the engine

    /// Returns whether it counts: an answer that came in time may be booked too late, when the holder has been told of the
    /// loss already.
    package func extend(to deadline: ContinuousClock.Instant) -> Bool {
        let observers = fields.withLock { fields -> [@Sendable (LeaseEvent?) -> Void]? in
            if Mutant.isOn(.lostLeaseResurrected) {
                fields.status = .held
            } else {
                let isLate = fields.wasSeenExpired && !Mutant.isOn(.lateExtendAccepted)
                guard fields.status == .held, !isLate else { return nil }
            }
            fields.deadline = deadline
            return Array(fields.observers.values)
        }
        guard let observers else { return false }
        for observer in observers { observer(.renewed(deadline: deadline)) }
        return true
    }

    package func warn(remaining: Duration) {
        for observer in fields.withLock({ Array($0.observers.values) }) { observer(.atRisk(remaining: remaining)) }
    }

    /// Ends the lease, once: a lost lease stays lost. Observers hear of it and are forgotten.
    package func end(_ status: Status) {
        let observers = fields.withLock { fields -> [@Sendable (LeaseEvent?) -> Void] in
            guard fields.status == .held else { return [] }
            fields.status = status
            defer { fields.observers.removeAll() }
            return Array(fields.observers.values)
        }
        for observer in observers {
            if case .lost(let reason) = status { observer(.lost(reason)) }
            observer(nil)
        }
    }

    // MARK: For holders

    /// Calls `observer` for every event and with `nil` at the end, on whatever thread it happens; it must be quick.
    ///
    /// A lease that has ended is told at once, in the same way. Returns what ``removeObserver(_:)`` needs.
    package func addObserver(_ observer: @escaping @Sendable (LeaseEvent?) -> Void) -> UInt64 {
        let (id, status) = fields.withLock { fields in
            fields.nextObserver += 1
            if fields.status == .held { fields.observers[fields.nextObserver] = observer }
            return (fields.nextObserver, fields.status)
        }
        switch status {
        case .held: break
        case .lost(let reason):
            observer(.lost(reason))
            observer(nil)
        case .released: observer(nil)
        }
        return id
    }

    package func removeObserver(_ id: UInt64) {
        fields.withLock { $0.observers[id] = nil }
    }
}
