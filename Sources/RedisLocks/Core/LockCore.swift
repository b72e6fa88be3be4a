import Logging
import Reactor
import Synchronization

/// What a client and its leases share; the last of them to go closes the connections and stops the thread.
final class LockCore: Sendable {
    let engine: LockEngine
    let configuration: RedisLocks.Configuration
    let nodeCount: Int
    let observer: LockObserver
    private let isShutDown = Mutex(false)

    init(configuration: RedisLocks.Configuration, nodes: Int, logger: Logger, runtime: LockRuntime) {
        self.configuration = configuration
        nodeCount = nodes
        let observer = LockObserver(logger: logger)
        self.observer = observer
        engine = LockEngine(
            runtime: runtime,
            settings: EngineSettings(configuration),
            report: { observer.post($0) })
    }

    deinit {
        guard !isShutDown.withLock({ $0 }) else { return }
        let (engine, observer) = (engine, observer)
        engine.runtime.reactor.execute {
            engine.assumeIsolated { $0.closeNow() }
            // Behind the report on a lease that was thrown away together with the client.
            observer.finish()
        }
        engine.runtime.reactor.stop()
    }

    func shutdown() async {
        await engine.close()
        isShutDown.withLock { $0 = true }
        await engine.runtime.reactor.stopAndWait()
        observer.finish()
    }

    // MARK: Acquire, hold, release

    func acquire(
        _ names: [String], ttl: Duration?, wait: Wait?, hasBody: Bool
    ) async throws(LockError) -> Lease {
        let terms = try configuration.terms(names: configuration.names(names), ttl: ttl, nodes: nodeCount)
        try HeldLocks.refuseReentry(of: terms.names, in: self)
        let budget = (wait ?? configuration.wait).budget
        let result = await observer.acquiring(terms.nameStrings) {
            await engine.acquire(terms, wait: budget, hasBody: hasBody)
        }
        switch result {
        case .granted(let grant): return Lease(handle: LeaseHandle(core: self, grant: grant))
        case .failed(let error): throw error
        }
    }

    /// `nil` when somebody else holds it.
    func acquireIfAvailable(_ name: String, ttl: Duration?, hasBody: Bool) async throws(LockError) -> Lease? {
        do {
            return try await acquire([name], ttl: ttl, wait: .upTo(.zero), hasBody: hasBody)
        } catch  where error.code == .waitTimedOut {
            return nil
        }
    }

    /// Untyped throws say "cancelled" the way the rest of the language does.
    func throwingCancellation<Result>(_ body: () async throws(LockError) -> Result) async throws -> Result {
        do {
            return try await body()
        } catch  where error.code == .cancelled {
            throw CancellationError()
        }
    }

    /// Runs `body` in a child task that is cancelled when the lease is lost, then releases.
    func hold<Result: Sendable>(
        _ lease: Lease, _ body: @escaping @Sendable (Lease) async throws -> Result
    ) async throws -> Result {
        let outcome: Swift.Result<Result, any Error>
        do {
            async let result = HeldLocks.run(under: lease, in: self) {
                try await TaskCanceller.run(
                    cancelledBy: lease.handle.state, on: self.engine.runtime.cancellationExecutor
                ) { try await body(lease) }
            }
            outcome = .success(try await result)
        } catch {
            outcome = .failure(error)
        }
        // A body may release its lease itself; there is nothing left to do then.
        guard lease.handle.claimRelease() else { return try outcome.get() }
        if case .lost(let reason) = await release(lease.handle) {
            // Cancellation is what the loss does to a body: not an error of its own.
            let bodyError = outcome.error.flatMap { $0 is CancellationError ? nil : $0 }
            throw LockError.lostLease(lease.names, reason, bodyError: bodyError)
        }
        return try outcome.get()
    }

    func release(_ handle: LeaseHandle) async -> ReleaseResult {
        var result = await engine.release(handle.id)
        // The engine has forgotten a lease that it ended itself, at its shutdown.
        if result == .notHeld, case .lost(let reason) = handle.state.status(at: handle.now) { result = .lost(reason) }
        observer.released(handle.names, result, held: handle.now - handle.acquired)
        return result
    }
}

extension NodeResponse {
    var failure: NodeFailure? {
        if case .failure(let failure) = self { failure } else { nil }
    }
}

extension Result {
    fileprivate var error: Failure? {
        if case .failure(let error) = self { error } else { nil }
    }
}

extension NodeReport.Outcome {
    /// The outcome without the node's name.
    var phrase: String {
        String(NodeReport(node: "", outcome: self).description.dropFirst(2))
    }
}
