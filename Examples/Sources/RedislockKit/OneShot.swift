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
            let report = StatusReport(try await locks.status(of: key))
            // Prints what it knows even if that is only why it knows nothing.
            Console.print(asJSON ? try report.json() : report.text)
            guard report.exitStatus != .success else { return (.success, nil) }
            try await throwIfRefused(by: locks)
            return (report.exitStatus, "too few nodes could tell whether \(key) is held: \(report.silence)")
        }
    }

    /// Removes a lock, or says what that would do.
    package func breakLock(_ key: String, confirmed: Bool) async -> Answer {
        await withLocks { locks in
            guard confirmed else {
                try await locks.connect()
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
            let report = InitReport(nodes: try await locks.initializeNodes(force: force).map { .init($0) })
            Console.print(report.text)
            return (report.exitStatus, report.sentence)
        }
    }

    /// Throws if it is the nodes' answer to us, and not their silence, that is missing.
    private func throwIfRefused(by locks: RedisLocks) async throws(LockError) {
        do {
            try await locks.connect()
        } catch  where error.code == .misconfigured {
            throw error
        } catch {
            // Silence.
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
