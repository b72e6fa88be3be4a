import Synchronization

/// Writes down what clients do while they do it. Any number of tasks may tell it.
///
/// Call it *before* what it says is invoked and *after* what it says has returned: then the recorded intervals contain
/// the true ones, and what the checkers find has happened.
package final class HistoryRecorder: Sendable {
    private struct Fields {
        var history = LockHistory()
        var places: [Int: Int] = [:]
        var nextID: Int
    }

    package let clock: HistoryClock
    private let fields: Mutex<Fields>
    private let sink: (@Sendable (String) -> Void)?

    /// - Parameters:
    ///   - clock: the clock of the whole history.
    ///   - firstID: the first operation's id. Recorders whose lines are put together need ranges of their own.
    ///   - sink: gets each record as a line, whenever something is added to it, in order and one at a time: what a process
    ///     that may be killed appends to a file. It must not call the recorder.
    package init(clock: HistoryClock = .system, firstID: Int = 0, sink: (@Sendable (String) -> Void)? = nil) {
        self.clock = clock
        self.sink = sink
        fields = Mutex(Fields(nextID: firstID))
    }

    package var history: LockHistory { fields.withLock { $0.history } }

    // MARK: Operations

    /// An acquire begins.
    package func begin(client: String, names: [String]) -> Int {
        fields.withLock { fields in
            let id = fields.nextID
            fields.nextID += 1
            fields.places[id] = fields.history.operations.count
            let operation = LockOperation(id: id, client: client, names: names, invoked: clock.now)
            fields.history.operations.append(operation)
            sink?(operation.line)
            return id
        }
    }

    /// - Parameter leaseInvoked: for a token that was handed on inside the process, see ``LockOperation/leaseInvoked``.
    package func granted(
        _ id: Int, token: Int64, deadline: ContinuousClock.Instant, leaseInvoked: Int64? = nil
    ) {
        granted(id, token: token, deadline: clock.nanoseconds(deadline), leaseInvoked: leaseInvoked)
    }

    package func granted(_ id: Int, token: Int64, deadline: Int64, leaseInvoked: Int64? = nil) {
        change(id) { operation, now in
            operation.returned = now
            operation.outcome = .granted(token: token)
            operation.deadline = deadline
            operation.leaseInvoked = leaseInvoked
        }
    }

    package func renewed(_ id: Int, deadline: ContinuousClock.Instant) {
        renewed(id, deadline: clock.nanoseconds(deadline))
    }

    package func renewed(_ id: Int, deadline: Int64) {
        change(id) { operation, _ in operation.deadline = deadline }
    }

    package func refused(_ id: Int) {
        change(id) { operation, now in
            operation.returned = now
            operation.outcome = .refused
        }
    }

    /// It failed, and nobody knows what came of it.
    package func unknown(_ id: Int) {
        change(id) { operation, now in operation.returned = now }
    }

    package func releaseInvoked(_ id: Int) {
        change(id) { operation, now in operation.releaseInvoked = now }
    }

    /// The release was confirmed. One that failed is not told of.
    package func releaseReturned(_ id: Int) {
        change(id) { operation, now in operation.releaseReturned = now }
    }

    /// The holder was told of the loss. Only the first time counts.
    package func lost(_ id: Int) {
        change(id) { operation, now in operation.ended = operation.ended ?? now }
    }

    private func change(_ id: Int, _ change: (inout LockOperation, Int64) -> Void) {
        fields.withLock { fields in
            guard let place = fields.places[id] else { preconditionFailure("Operation \(id) was never begun here.") }
            change(&fields.history.operations[place], clock.now)
            sink?(fields.history.operations[place].line)
        }
    }

    // MARK: Store

    /// A store that lives in this process calls this while it executes the request, so that the order is its own.
    package func store(
        key: String, client: String, operation: Int, token: Int64, _ kind: StoreEvent.Kind, accepted: Bool
    ) {
        store { now in
            StoreEvent(
                at: now, key: key, client: client, operation: operation, token: token, kind: kind, accepted: accepted)
        }
    }

    /// What a store elsewhere reported, with its own number for the order of execution.
    package func store(_ event: StoreEvent) {
        store { _ in event }
    }

    private func store(_ event: (Int64) -> StoreEvent) {
        fields.withLock { fields in
            let event = event(clock.now)
            fields.history.storeEvents.append(event)
            sink?(event.line)
        }
    }
}
