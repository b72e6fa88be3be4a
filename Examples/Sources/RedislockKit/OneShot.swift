import Logging
import RedisLocks

/// Connects, asks one thing, disconnects.
package struct OneShot: Sendable {
    let node: String
    let allowPlaintextPassword: Bool
    let logger: Logger

    package init(node: String, allowPlaintextPassword: Bool, logger: Logger) {
        self.node = node
        self.allowPlaintextPassword = allowPlaintextPassword
        self.logger = logger
    }

    /// Prints the state of a key.
    package func status(of key: String, asJSON: Bool) async -> (status: ExitStatus, sentence: String?) {
        // Prints what it knows even if that is only why it knows nothing.
        await withLocks(toleratesUnreachable: true) { locks in
            let report = StatusReport(try await locks.status(of: key))
            Console.print(asJSON ? try report.json() : report.text)
            let unknown = "too few nodes could be asked whether \(key) is held"
            return (report.exitStatus, report.exitStatus == .success ? nil : unknown)
        }
    }

    /// Removes a lock, or says what that would do.
    package func breakLock(_ key: String, confirmed: Bool) async -> (status: ExitStatus, sentence: String?) {
        await withLocks { locks in
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

    private func withLocks(
        toleratesUnreachable: Bool = false,
        _ body: (RedisLocks) async throws -> (status: ExitStatus, sentence: String?)
    ) async -> (status: ExitStatus, sentence: String?) {
        var configuration = RedisLocks.Configuration()
        configuration.clientName = "redislock"
        configuration.unsafeAllowPlaintextPasswords = allowPlaintextPassword
        let locks: RedisLocks
        do {
            locks = try RedisLocks(.node(node), configuration: configuration, logger: logger)
        } catch {
            let failure = Failure(construction: error)
            return (failure.status, failure.sentence)
        }
        let result: (status: ExitStatus, sentence: String?)
        do {
            try await connect(locks, toleratesUnreachable)
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

    private func connect(_ locks: RedisLocks, _ toleratesUnreachable: Bool) async throws(LockError) {
        do {
            try await locks.connect()
        } catch {
            guard toleratesUnreachable, error.code == .quorumUnreachable else { throw error }
        }
    }
}
