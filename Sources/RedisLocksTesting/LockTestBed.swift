import Logging
import Reactor
import RedisLocks

/// A lock client on servers that live in this process, under a clock that moves by hand: for tests of code that uses locks.
///
/// ```swift
/// let bed = try LockTestBed()
/// let job = Task { try await runNightlyJob(locks: bed.locks) }
/// await bed.loseLease("job:nightly")
/// await #expect(throws: LockError.self) { try await job.value }
/// await bed.shutdown()
/// ```
///
/// No time passes but by ``advance(by:)``, so nothing expires, is renewed or times out between two lines of a test. See
/// <doc:RedisLocksTesting> for what the clock waits for.
public final class LockTestBed: Sendable {
    /// The client under test: the real one, but for its clock and its servers.
    public let locks: RedisLocks
    /// Its servers.
    public let nodes: [InMemoryServer]
    package let time: ManualTime
    private let configuration: RedisLocks.Configuration

    /// Makes a client and its servers. End it with ``shutdown()``.
    ///
    /// - Parameters:
    ///   - count: how many servers. They vote from the beginning; one that is told to forget everything does not for a while,
    ///     see `RedisLocks.Configuration.restartGuard`.
    ///   - configuration: how locks behave.
    ///   - logger: what the client logs to. Silent by default.
    /// - Throws: `LockError` for a configuration that cannot work, and when the process is out of descriptors.
    public init(
        nodes count: Int = 1,
        configuration: RedisLocks.Configuration = RedisLocks.Configuration(),
        logger: Logger = Logger(label: "redis-locks-testing", factory: { _ in SwiftLogNoOpLogHandler() })
    ) throws {
        precondition(count > 0, "A lock needs at least one node.")
        let time = ManualTime(reactor: try Reactor(name: "redis-locks-testing"))
        let isGuarded = configuration.guardTime(nodes: count) != nil
        let servers = (0..<count).map { InMemoryServer(index: $0, time: time, isInitialized: isGuarded) }
        let runtime = LockRuntime(reactor: time.reactor, timers: time, cancellationExecutor: time.reactor) {
            servers.map { $0.connect() }
        }
        locks = try RedisLocks(nodes: count, configuration: configuration, logger: logger, runtime: runtime)
        nodes = servers
        self.time = time
        self.configuration = configuration
    }

    /// Makes a bed, runs `body` on its thread, and shuts it down.
    ///
    /// Everything that `body` and its child tasks do is settled before the clock moves: this is the form in which a test
    /// always goes the same way.
    ///
    /// - Throws: what ``init(nodes:configuration:logger:)`` and `body` throw.
    public static func with<Result: Sendable>(
        nodes count: Int = 1,
        configuration: RedisLocks.Configuration = RedisLocks.Configuration(),
        logger: Logger = Logger(label: "redis-locks-testing", factory: { _ in SwiftLogNoOpLogHandler() }),
        _ body: @Sendable (LockTestBed) async throws -> Result
    ) async throws -> Result {
        let bed = try LockTestBed(nodes: count, configuration: configuration, logger: logger)
        let result: Result
        do {
            result = try await withTaskExecutorPreference(bed.executor) { try await body(bed) }
        } catch {
            await bed.shutdown()
            throw error
        }
        await bed.shutdown()
        return result
    }

    /// The thread on which the client lives. A task that prefers it - `Task(executorPreference: bed.executor)` - is settled
    /// before the clock moves, like the client itself.
    public var executor: any TaskExecutor { time.reactor }

    // MARK: Time

    /// The time on the bed's clock: what `Lease.deadline` is measured against.
    public var now: ContinuousClock.Instant { time.now }

    /// Moves the clock. On the way, each timer of the client fires at its own instant, and what it causes on the bed's
    /// thread is done before the next one.
    public func advance(by duration: Duration) async {
        await time.advance(by: duration)
    }

    /// Moves the clock to `instant`, as ``advance(by:)`` does; never back.
    public func advance(to instant: ContinuousClock.Instant) async {
        await time.advance(to: instant)
    }

    /// The process stands still this long, as when the machine sleeps: the clock moves, and the client's timers fire only
    /// afterwards, late. The servers go on meanwhile.
    public func standStill(for duration: Duration) async {
        await time.jump(by: duration)
    }

    /// Runs `work`, moving the clock from timer to timer until it is done: for what takes time, such as waiting for a name
    /// that somebody else holds.
    public func advanceUntilDone<Result: Sendable>(
        _ work: @escaping @Sendable () async throws -> Result
    ) async throws -> Result {
        try await time.drive { () async -> Swift.Result<Result, any Error> in
            do {
                return .success(try await work())
            } catch {
                return .failure(error)
            }
        }.get()
    }

    /// Waits until nothing is left to do on the bed's thread without the clock moving.
    public func settle() async {
        await time.settle()
    }

    // MARK: Locks

    /// Somebody else takes the name, on every node, whoever held it.
    ///
    /// - Parameters:
    ///   - name: the lock's name.
    ///   - duration: until it expires; `nil` for never.
    public func hold(_ name: String, for duration: Duration? = nil) {
        for node in nodes { node.hold(name, for: duration) }
    }

    /// How ``loseLease(_:as:)`` takes a lease away.
    public enum Loss: Sendable, Hashable {
        /// Somebody else holds the name for the next minute: the holder learns of it with its next renewal.
        case taken
        /// Renewals get no answer until the lease's deadline has passed.
        case expired
    }

    /// Waits until the client holds the name, takes the lease away, and moves the clock until the client knows.
    ///
    /// It may be called while the lock is still waited for, and in the body of a `withLock`, whose task it cancels. If nobody
    /// ever takes the lock it waits until its own task is cancelled: give the test a time limit.
    public func loseLease(_ name: String, as loss: Loss = .taken) async {
        let lockName = checked(name)
        await time.changes.wait { [self] in remainingOfClient(lockName) != nil }
        await settle()
        let limit = now + (remainingOfClient(lockName) ?? .zero) + .milliseconds(1)
        switch loss {
        case .taken:
            let before = nodes.map { $0.dispossessions(of: lockName) }
            hold(name, for: .seconds(60))
            while now < limit {
                let told = zip(nodes, before).count { $0.dispossessions(of: lockName) > $1 }
                if told >= majority { break }
                guard await time.advanceToNextTimer(notAfter: limit) else { return await advance(to: limit) }
            }
        case .expired:
            let faults = nodes.map { $0.inject(.hang, into: .extend, of: lockName) }
            await advance(to: limit)
            for (node, fault) in zip(nodes, faults) { node.removeFault(fault) }
        }
        await settle()
    }

    private var majority: Int { nodes.count / 2 + 1 }

    /// The longest time for which a majority may hold the name for our client.
    private func remainingOfClient(_ name: LockName) -> Duration? {
        let remaining = nodes.compactMap { $0.remainingOfClient(name) }
        return remaining.count >= majority ? remaining.max() : nil
    }

    private func checked(_ name: String) -> LockName {
        do {
            return try LockName(name)
        } catch {
            preconditionFailure(error.message)
        }
    }

    // MARK: End

    /// Shuts the client down, moving the clock as far as that takes.
    public func shutdown() async {
        await time.drive { [locks] in await locks.shutdown() }
    }

    deinit {
        time.reactor.stop()
    }
}
