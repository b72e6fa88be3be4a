import Logging
import RedisLocks

/// Connects, asks one thing, disconnects.
package struct OneShot: Sendable {
    package typealias Answer = (status: ExitStatus, sentence: String?)

    let nodes: NodeSet
    let logger: Logger

    package init(nodes: NodeSet, logger: Logger) {
        self.nodes = nodes
        self.logger = logger
    }

    /// Prints the state of a key.
    package func status(of key: String, asJSON: Bool) async -> Answer {
        await withLocks { locks in
            let refusal = await refusal(of: locks)
            let report = StatusReport(try await locks.status(of: key))
            // Prints what it knows even if that is only why it knows nothing.
            Console.print(asJSON ? try report.json() : report.text)
            guard report.exitStatus != .success else { return (.success, nil) }
            if let refusal, refusal.code == .misconfigured { throw refusal }
            return (report.exitStatus, "too few nodes could tell whether \(key) is held: \(report.silence)")
        }
    }

    /// Removes a lock, or says what that would do.
    package func breakLock(_ key: String, confirmed: Bool) async -> Answer {
        await withLocks { locks in
            try await locks.connect()
            guard confirmed else {
                Console.print(StatusReport(try await locks.status(of: key)).text)
                return (
                    .usage,
                    "nothing was changed: with --yes, the lock on \(key) would be taken from its holder, who learns of it at "
                        + "the next renewal, and whoever waits would get it with a greater fencing token"
                )
            }
            let broken = try await locks.breakLock(key)
            Console.print(broken ? "\(key): the lock was removed" : "\(key): nobody held it")
            return (.success, nil)
        }
    }

    /// Makes new nodes vote, and prints what became of each.
    package func initialize(force: Bool) async -> Answer {
        await withLocks { locks in
            let refusal = await refusal(of: locks)
            let report = InitReport(try await locks.initializeNodes(force: force), refusal: refusal)
            Console.print(report.text)
            return (report.exitStatus, report.sentence)
        }
    }

    /// Why too few nodes could be connected to; which are no reason not to ask the others.
    private func refusal(of locks: RedisLocks) async -> LockError? {
        do {
            try await locks.connect()
            return nil
        } catch {
            return error
        }
    }

    private func withLocks(_ body: (RedisLocks) async throws -> Answer) async -> Answer {
        let locks: RedisLocks
        do {
            locks = try RedisLocks(nodes.lockNodes, configuration: nodes.configuration(), logger: logger)
        } catch {
            let failure = Failure(construction: error)
            return (failure.status, failure.sentence)
        }
        let result: Answer
        do {
            result = try await body(locks)
        } catch let error as LockError {
            let failure = Failure(error)
            result = (failure.status, failure.sentence)
        } catch {
            result = (.software, Failure(.software, "\(error)").sentence)
        }
        await locks.shutdown()
        return result
    }
}
