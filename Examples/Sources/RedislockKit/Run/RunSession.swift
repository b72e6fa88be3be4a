import Logging
import RedisLocks

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// One `redislock run`: acquires, runs the command beside the lease, releases.
package final class RunSession: Sendable {
    package struct Request: Sendable {
        package var nodes: NodeSet
        package var key: String
        package var ttl: Duration
        package var wait: Duration
        package var grace: Duration
        /// `nil`: the lock is renewed for as long as the command runs.
        package var maximumHold: Duration?
        package var command: CommandLineBytes

        package init(
            nodes: NodeSet, key: String, ttl: Duration, wait: Duration, grace: Duration, maximumHold: Duration?,
            command: CommandLineBytes
        ) {
            self.nodes = nodes
            self.key = key
            self.ttl = ttl
            self.wait = wait
            self.grace = grace
            self.maximumHold = maximumHold
            self.command = command
        }
    }

    private enum Message: Sendable {
        case acquired(Lease)
        case event(Supervision.Event)
    }

    private let request: Request
    private let logger: Logger
    private let messages: AsyncStream<Message>
    private let inbox: AsyncStream<Message>.Continuation

    package init(_ request: Request, logger: Logger) {
        self.request = request
        self.logger = logger
        (messages, inbox) = AsyncStream.makeStream()
    }

    /// Takes a signal that this process got, from any thread.
    package func receive(signal: Int32, fromTerminal: Bool) {
        inbox.yield(.event(.signal(signal, fromTerminal: fromTerminal)))
    }

    /// Runs to the end. The sentence, if any, is for stderr.
    package func run() async -> (status: ExitStatus, sentence: String?) {
        let locks: RedisLocks
        do {
            locks = try RedisLocks(request.nodes.lockNodes, configuration: configuration, logger: logger)
        } catch {
            let failure = Failure(construction: error)
            return (failure.status, failure.sentence)
        }
        let result = await hold(locks)
        await locks.shutdown()
        return result
    }

    private var configuration: RedisLocks.Configuration {
        var configuration = request.nodes.configuration(ttl: request.ttl)
        configuration.wait = .upTo(request.wait)
        configuration.maximumHold = request.maximumHold
        return configuration
    }

    private func hold(_ locks: RedisLocks) async -> (status: ExitStatus, sentence: String?) {
        await withTaskGroup(of: Void.self) { group in
            var machine = Supervision()
            var lease: Lease?
            var command: Command?
            group.addTask { await self.acquire(locks) }

            for await message in messages {
                let event: Supervision.Event
                switch message {
                case .acquired(let acquired): (lease, event) = (acquired, .acquired)
                case .event(let other): event = other
                }
                for action in machine.handle(event) {
                    switch action {
                    case .stopAcquiring:
                        logger.info("Interrupted while waiting for the lock.")
                        group.cancelAll()
                    case .start:
                        guard let lease else { preconditionFailure("started without a lease") }
                        command = start(lease)
                        group.addTask { await self.watch(lease) }
                        group.addTask { await self.logEvents(of: lease) }
                    case .send(let signal):
                        logger.info("Sending a signal to the command.", metadata: ["signal": "\(signal)"])
                        command?.send(signal)
                    case .startGrace:
                        group.addTask { await self.waitForGrace() }
                    case .finish(let outcome):
                        let released = await release(lease, after: outcome)
                        group.cancelAll()
                        return report(outcome, released)
                    }
                }
            }
            preconditionFailure("the stream of events ended before the command")
        }
    }

    private func acquire(_ locks: RedisLocks) async {
        let start = ContinuousClock.now
        do {
            let lease = try await locks.acquire(request.key)
            logger.info(
                "Acquired the lock.",
                metadata: [
                    "key": "\(request.key)", "token": "\(lease.fencingToken)",
                    "waited": "\((ContinuousClock.now - start).forPeople)",
                ])
            inbox.yield(.acquired(lease))
        } catch {
            inbox.yield(.event(.notAcquired(error)))
        }
    }

    private func start(_ lease: Lease) -> Command {
        let command = Command(request.command, variables: Self.variables(for: lease))
        command.start(
            remaining: { lease.remaining },
            onEnd: { [inbox, logger] end in
                logger.info("The command has ended.", metadata: ["end": "\(end)"])
                inbox.yield(.event(.ended(end)))
            },
            onFailure: { [inbox] error in inbox.yield(.event(.notStarted(error))) }
        )
        return command
    }

    private static func variables(for lease: Lease) -> [String] {
        var now = timespec()
        clock_gettime(CLOCK_REALTIME, &now)
        let milliseconds = Int64(now.tv_sec) * 1000 + Int64(now.tv_nsec) / 1_000_000
        return [
            "REDISLOCK_KEY=\(lease.name)",
            "REDISLOCK_FENCING_TOKEN=\(lease.fencingToken)",
            "REDISLOCK_DEADLINE=\(milliseconds + lease.remaining.wholeMilliseconds)",
        ]
    }

    private func watch(_ lease: Lease) async {
        if let reason = await lease.lost() { inbox.yield(.event(.leaseLost(reason))) }
    }

    private func waitForGrace() async {
        do {
            try await Task.sleep(for: request.grace, clock: .continuous)
            inbox.yield(.event(.graceOver))
        } catch {
            // The command has ended within its grace.
        }
    }

    private func logEvents(of lease: Lease) async {
        for await event in lease.events {
            switch event {
            case .renewed:
                logger.info("Renewed the lease.", metadata: ["remaining": "\(lease.remaining.forPeople)"])
            case .atRisk(let remaining):
                logger.warning("The lease was not renewed in time.", metadata: ["remaining": "\(remaining.forPeople)"])
            case .lost(let reason):
                logger.error("The lease is lost.", metadata: ["reason": "\(reason)"])
            }
        }
    }

    /// Why the lock could not be released; `nil` when it was, or was not ours any more.
    private func release(_ lease: Lease?, after outcome: Supervision.Outcome) async -> LockError? {
        if case .leaseLost = outcome { return nil }
        guard let lease else { return nil }
        do {
            try await lease.release()
            logger.info("Released the lock.")
            return nil
        } catch {
            return error
        }
    }

    private func report(
        _ outcome: Supervision.Outcome,
        _ notReleased: LockError?
    ) -> (status: ExitStatus, sentence: String?) {
        switch outcome {
        case .notAcquired(let failure):
            return (failure.status, failure.sentence)
        case .interrupted(let signal):
            return (.signalled(signal), "ended by signal \(signal) before the command was started")
        case .notStarted(let error):
            let status: ExitStatus = error == ENOENT ? .notFound : .notExecutable
            let sentence = "cannot run \(request.command.program): \(String(cString: strerror(error)))"
            return (status, Failure(status, sentence).sentence)
        case .leaseLost(let reason, let end):
            return (.leaseLost, "the lease on \(request.key) was lost: \(reason); the command \(end)")
        case .leaseLostBeforeStart:
            return (.leaseLost, "the lease on \(request.key) was over before the command could be started")
        case .ended(let end):
            guard let notReleased else { return (end.status, nil) }
            if let reason = notReleased.code.leaseLossReason {
                return (.leaseLost, "the lease on \(request.key) was lost: \(reason); the command \(end)")
            }
            let sentence = "the lock was not released and expires by itself: \(notReleased.description)"
            return (end.status, Failure(end.status, sentence).sentence)
        }
    }
}
