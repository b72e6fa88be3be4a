import Logging
import Reactor
import ServiceLifecycle

/// Distributed locks on Redis: leases with fencing tokens.
///
/// ```swift
/// let locks = try RedisLocks(.node("redis://localhost:6379"))
/// try await locks.withLock("seat:A12", ttl: .seconds(10), wait: .upTo(.seconds(2))) { lease in
///     try await store.hold(seat, fence: lease.fencingToken)
/// }
/// ```
///
/// It connects with the first request. One client serves a whole process: any number of tasks share its one connection to
/// each node and its one thread. Run it as a ServiceLifecycle `Service`, use
/// ``with(_:configuration:logger:isolation:_:)``, or call ``shutdown()`` when it is done; a client that is thrown away closes its connections by itself.
///
/// A lease gives efficiency and order, as long as its assumptions hold; its fencing token, checked by the store that is
/// written to, gives safety. <doc:Guarantees> says what is promised, and when a promise ends.
public final class RedisLocks: Service, Sendable {
    let core: LockCore
    /// See ``Configuration/maximumNamesPerLock``: for what asks for many names at once and must refuse before.
    package let maximumNamesPerLock: Int

    /// Makes a client. It connects with the first request, or with ``connect()``.
    ///
    /// - Parameters:
    ///   - nodes: the Redis servers: ``LockNodes/node(_:isDurable:)`` or ``LockNodes/redlock(_:)-([String])``.
    ///   - configuration: how locks behave.
    ///   - logger: where what happens on the client's own account is told: lost leases, failing renewals, connections.
    ///     Silent by default.
    /// - Throws: ``LockError/Code/misconfigured`` for a URL or a configuration that cannot work.
    public init(
        _ nodes: LockNodes,
        configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "redis-locks", factory: { _ in SwiftLogNoOpLogHandler() })
    ) throws(LockError) {
        try nodes.check()
        try configuration.check(nodes: nodes.nodes.count)
        let identities = try RedisLockNode.check(nodes, configuration: configuration)
        let reactor = try Self.makeReactor()
        let runtime = LockRuntime(reactor: reactor, timers: reactor) {
            identities.map { RedisLockNode.checked($0, configuration: configuration, reactor: reactor) }
        }
        maximumNamesPerLock = configuration.maximumNamesPerLock
        core = LockCore(configuration: configuration, nodes: identities.count, logger: logger, runtime: runtime)
    }

    /// For tests: other nodes, another clock.
    package init(nodes: Int, configuration: Configuration, logger: Logger, runtime: LockRuntime) throws(LockError) {
        try configuration.check(nodes: nodes)
        maximumNamesPerLock = configuration.maximumNamesPerLock
        core = LockCore(configuration: configuration, nodes: nodes, logger: logger, runtime: runtime)
    }

    private static func makeReactor() throws(LockError) -> Reactor {
        do {
            return try Reactor()
        } catch {
            throw LockError(.misconfigured, "No lock client can be made: \(error); raise the limit of open files.")
        }
    }

    // MARK: Life

    /// Makes a client, passes it to `body`, and shuts it down afterwards.
    ///
    /// - Throws: what ``init(_:configuration:logger:)`` and `body` throw.
    public static func with<Result>(
        _ nodes: LockNodes,
        configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "redis-locks", factory: { _ in SwiftLogNoOpLogHandler() }),
        isolation: isolated (any Actor)? = #isolation,
        _ body: (RedisLocks) async throws -> sending Result
    ) async throws -> sending Result {
        let locks = try RedisLocks(nodes, configuration: configuration, logger: logger)
        let result: Result
        do {
            result = try await body(locks)
        } catch {
            await locks.shutdown()
            throw error
        }
        await locks.shutdown()
        return result
    }

    /// Connects to the nodes and probes them: version, role, eviction policy, permissions. A server without an append-only
    /// file may serve, and is mentioned in the log: see <doc:Guarantees>.
    ///
    /// Not needed before the first lock, but a good thing to do at start-up: what is wrong is said then. A minority of nodes
    /// that cannot serve is tolerated, and told to the log.
    ///
    /// - Throws: ``LockError/Code/misconfigured``, ``LockError/Code/quorumUnreachable``, ``LockError/Code/closed``.
    public func connect() async throws(LockError) {
        try await core.connect()
    }

    /// Connects, then serves until the service group shuts down gracefully or the task is cancelled, then ``shutdown()``.
    ///
    /// Nodes that cannot be reached yet do not end it; a configuration that cannot work does.
    ///
    /// - Throws: ``LockError/Code/misconfigured``.
    public func run() async throws {
        do {
            try await connect()
        } catch  where error.code == .quorumUnreachable || error.code == .closed {
            core.observer.log(.warning, "Lock nodes cannot be reached yet", ["error": "\(error)"])
        } catch {
            await shutdown()
            throw error
        }
        try? await gracefulShutdown()
        await shutdown()
    }

    /// Ends the client: waiting tasks get ``LockError/Code/closed``, held leases are lost, their bodies cancelled and awaited
    /// for at most ``Configuration/shutdownGrace``, their names released, and the connections closed. Idempotent.
    /// Inside a body it waits for that body's cancellation to take effect, for as long as the grace lasts: call it elsewhere.
    public func shutdown() async {
        await core.shutdown()
    }

    // MARK: Locks

    /// Waits for the lock `name`, runs `body` under it, and releases it.
    ///
    /// The lease is renewed every third of the ttl while `body` runs. When it is lost all the same, `body`'s task is
    /// cancelled; this method waits for it to end and throws. A body that ignores cancellation goes on working without the
    /// lock: check ``Lease/isValid`` before effects, and let the store check ``Lease/fencingToken``.
    ///
    /// `body` runs in a child task. Locks are not reentrant: to ask for a name inside its own body is an error.
    ///
    /// - Parameters:
    ///   - name: 1 to 512 bytes of UTF-8 without control characters and braces; the Redis key of the lock is this name.
    ///   - ttl: how long a crashed holder blocks others; ``Configuration/ttl`` by default.
    ///   - wait: how long to wait for it; ``Configuration/wait`` by default.
    ///   - body: what to do under the lock.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws; `CancellationError` when the task was cancelled while waiting; ``LockError`` with
    ///   ``LockError/Code/waitTimedOut``, ``LockError/Code/quorumUnreachable``, ``LockError/Code/leaseLost(_:)``,
    ///   ``LockError/Code/misconfigured``, ``LockError/Code/fencingUnavailable``, ``LockError/Code/reentrant``,
    ///   ``LockError/Code/overloaded`` or ``LockError/Code/closed``.
    public func withLock<Result: Sendable>(
        _ name: String,
        ttl: Duration? = nil,
        wait: Wait? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        try await withLock([name], ttl: ttl, wait: wait, body)
    }

    /// Waits for all of `names` at once, runs `body` under them, and releases them.
    ///
    /// All or nothing: no name is held while another is waited for, so two callers cannot wait for each other. There is one
    /// fencing token for the set, greater than every token of every member.
    ///
    /// See ``withLock(_:ttl:wait:_:)-(String,_,_,_)`` for everything else.
    public func withLock<Result: Sendable>(
        _ names: [String],
        ttl: Duration? = nil,
        wait: Wait? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        let lease = try await core.throwingCancellation { () async throws(LockError) in
            try await core.acquire(names, ttl: ttl, wait: wait, hasBody: true)
        }
        return try await core.hold(lease, body)
    }

    /// Runs `body` under the lock `name` if it is free, and answers `nil` if somebody else holds it.
    ///
    /// "Somebody" may be another task of this process that holds it or waits for it. Nothing is waited for, but the nodes'
    /// answers.
    ///
    /// - Throws: as ``withLock(_:ttl:wait:_:)-(String,_,_,_)``, but never ``LockError/Code/waitTimedOut``.
    public func withLockIfAvailable<Result: Sendable>(
        _ name: String,
        ttl: Duration? = nil,
        _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result? {
        guard
            let lease = try await core.throwingCancellation({ () async throws(LockError) in
                try await core.acquireIfAvailable(name, ttl: ttl, hasBody: true)
            })
        else { return nil }
        return try await core.hold(lease, body)
    }

    /// Waits for the lock `name` and takes it. Prefer ``withLock(_:ttl:wait:_:)-(String,_,_,_)``, which cannot forget to
    /// release it.
    ///
    /// - Throws: as `withLock`, with ``LockError/Code/cancelled`` for a cancelled task.
    public func acquire(_ name: String, ttl: Duration? = nil, wait: Wait? = nil) async throws(LockError) -> Lease {
        try await acquire([name], ttl: ttl, wait: wait)
    }

    /// Waits for all of `names` at once and takes them, all or nothing.
    ///
    /// - Throws: as ``acquire(_:ttl:wait:)-(String,_,_)``.
    public func acquire(_ names: [String], ttl: Duration? = nil, wait: Wait? = nil) async throws(LockError) -> Lease {
        try await core.acquire(names, ttl: ttl, wait: wait, hasBody: false)
    }

    /// Takes the lock `name` if it is free; `nil` if somebody else holds it.
    ///
    /// - Throws: as ``acquire(_:ttl:wait:)-(String,_,_)``, but never ``LockError/Code/waitTimedOut``.
    public func acquireIfAvailable(_ name: String, ttl: Duration? = nil) async throws(LockError) -> Lease? {
        try await core.acquireIfAvailable(name, ttl: ttl, hasBody: false)
    }

    // MARK: For operators

    /// Tells new nodes that they are new, so that they vote at once instead of waiting until everything that they might have
    /// forgotten has expired: writes the restart guard's record (`redis-locks:boot`) to each, overriding a quarantine.
    ///
    /// For a fleet that has never voted, when it is set up. On a server that has restarted without its data, or was put in
    /// the place of another, it would do what the guard prevents: grant what somebody may still hold. So all nodes are asked
    /// first, and none is changed when any of them holds fencing counters or cannot be asked, unless `force` is set. Needs the permissions `+scan` (not with `force`) and `+hset`.
    ///
    /// - Parameter force: do it whatever the node holds: no lock may be held by anybody.
    /// - Returns: what happened at each node, in the order of the configuration.
    /// - Throws: ``LockError/Code/closed``.
    public func initializeNodes(force: Bool = false) async throws(LockError) -> [NodeInitialization] {
        try await core.initializeNodes(force: force)
    }

    /// What every node knows about `name`. Takes nothing and changes nothing.
    ///
    /// - Throws: ``LockError/Code/misconfigured`` for a bad name, ``LockError/Code/closed``.
    public func status(of name: String) async throws(LockError) -> LockStatus {
        try await core.status(of: name)
    }

    /// Takes the lock `name` away from whoever holds it, on every node. Its holder learns of it with its next renewal.
    ///
    /// The fencing counter stays, so the next holder's token is still greater. Returns whether anything was there.
    ///
    /// - Throws: ``LockError/Code/quorumUnreachable`` when too few nodes answered, ``LockError/Code/misconfigured``,
    ///   ``LockError/Code/closed``.
    @discardableResult
    public func breakLock(_ name: String) async throws(LockError) -> Bool {
        try await core.breakLock(name)
    }
}
