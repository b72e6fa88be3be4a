import Synchronization

/// A lock that is held: a promise about time, and a fencing token, which is a promise about order.
///
/// The lease is renewed while it is held. Past its ``deadline`` it is lost, whatever the servers say, and stays lost; others
/// may hold the name then. Hand the ``fencingToken`` to whatever you write to, and let it refuse smaller ones than it has
/// seen: then a holder that was paused past its deadline can do no harm.
///
/// A lease may be stored and passed on; it ends with ``release()``. One that is thrown away without it is released as well,
/// and reported in the log as a mistake.
public struct Lease: Sendable {
    let handle: LeaseHandle

    /// The name. For a lock over several names: the first.
    public var name: String { handle.names[0] }
    /// All names that the lease covers.
    public var names: [String] { handle.names }

    /// Greater than every token granted for any of the names before this acquire began, and never given out twice.
    ///
    /// Fits a JSON number: below 2^53 until the year 2255. Order needs no clocks as long as the server keeps its counters
    /// (see the guarantee table in the documentation).
    public var fencingToken: Int64 { handle.state.token }

    /// The instant until which the lease is valid if no more renewals succeed. It moves with each renewal.
    ///
    /// Computed as the start of the last successful attempt + ttl - drift, on a clock that goes on while the machine sleeps.
    public var deadline: ContinuousClock.Instant { handle.state.deadline }

    /// How long the lease is valid if no more renewals succeed; zero when it is over.
    public var remaining: Duration {
        isValid ? max(handle.state.deadline - handle.now, .zero) : .zero
    }

    /// Whether the lease is held at this moment. Cheap: two clock reads and no message.
    public var isValid: Bool { handle.state.status(at: handle.now) == .held }

    /// Throws unless the lease is held at this moment: call it right before an effect.
    ///
    /// - Throws: ``LockError/Code/leaseLost(_:)`` or, after a release, ``LockError/Code/notHeld``.
    public func checkValid() throws(LockError) {
        switch handle.state.status(at: handle.now) {
        case .held: return
        case .lost(let reason): throw .lostLease(names, reason)
        case .released: throw .notHeldLease(names)
        }
    }

    /// Renewals, the early warning and the loss, from now on; ends with the lease.
    ///
    /// Every access makes a stream of its own. One that is not read keeps the latest 16 events.
    public var events: AsyncStream<LeaseEvent> {
        let (stream, continuation) = AsyncStream.makeStream(of: LeaseEvent.self, bufferingPolicy: .bufferingNewest(16))
        let state = handle.state
        let observer = state.addObserver { event in
            if let event { continuation.yield(event) } else { continuation.finish() }
        }
        continuation.onTermination = { _ in state.removeObserver(observer) }
        return stream
    }

    /// Waits until the lease is lost. `nil` when it was released instead, or when the waiting task is cancelled.
    public func lost() async -> LeaseLossReason? {
        for await event in events {
            if case .lost(let reason) = event { return reason }
        }
        return nil
    }

    /// Gives the names back. Goes through although the task is cancelled, and takes at most three node timeouts.
    ///
    /// - Throws: ``LockError/Code/notHeld`` when it was released before; ``LockError/Code/leaseLost(_:)`` when it had been lost
    ///   by then; ``LockError/Code/quorumUnreachable`` when no node answered: the names then expire within the ttl.
    public func release() async throws(LockError) {
        try await handle.release()
    }
}

/// What all copies of a lease share. When the last one goes without a release, the names are given back all the same.
final class LeaseHandle: Sendable {
    let core: LockCore
    let id: UInt64
    let state: LeaseState
    let names: [String]
    let acquired: ContinuousClock.Instant
    private let isReleased = Mutex(false)

    init(core: LockCore, grant: Grant) {
        self.core = core
        id = grant.id
        state = grant.state
        names = grant.state.names.map(\.string)
        acquired = core.engine.runtime.timers.now
    }

    var now: ContinuousClock.Instant { core.engine.runtime.timers.now }

    /// Whether this call is the one that releases.
    func claimRelease() -> Bool {
        isReleased.withLock { isReleased in
            defer { isReleased = true }
            return !isReleased
        }
    }

    func release() async throws(LockError) {
        guard claimRelease() else { throw .notHeldLease(names) }
        switch await core.release(self) {
        case .released: return
        case .notHeld: throw .notHeldLease(names)
        case .lost(let reason): throw .lostLease(names, reason)
        case .unknown(let nodes):
            throw LockError(
                .quorumUnreachable,
                "The release of \(names.quoted) was not confirmed; the lock expires by itself within its ttl.",
                names: names, nodes: nodes)
        }
    }

    deinit {
        guard claimRelease() else { return }
        let (engine, id) = (core.engine, id)
        engine.runtime.reactor.execute { engine.assumeIsolated { $0.abandon(id) } }
    }
}

extension LockError {
    static func lostLease(_ names: [String], _ reason: LeaseLossReason, bodyError: (any Error)? = nil) -> LockError {
        LockError(
            .leaseLost(reason), "The lease on \(names.quoted) was lost: \(reason). Others may hold it now.",
            names: names,
            bodyError: bodyError)
    }

    static func notHeldLease(_ names: [String]) -> LockError {
        LockError(.notHeld, "The lease on \(names.quoted) was released before.", names: names)
    }
}
