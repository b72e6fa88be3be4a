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
        await withLocks { _ in
            // Which has checked them as a set: their number, and that they are different.
            let report = InitReport(nodes: await initializeEach(force: force))
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

    /// Each by itself: one that cannot be reached holds up no other, and is told from one that says no.
    private func initializeEach(force: Bool) async -> [InitReport.Node] {
        await withTaskGroup(of: (Int, InitReport.Node).self) { group in
            for (index, url) in nodes.urls.enumerated() {
                group.addTask { (index, await initialize(url, force: force)) }
            }
            return await group.reduce(into: []) { $0.append($1) }.sorted { $0.0 < $1.0 }.map(\.1)
        }
    }

    private func initialize(_ url: String, force: Bool) async -> InitReport.Node {
        var label = ""
        do {
            let locks = try RedisLocks(.node(url), configuration: nodes.configuration(), logger: logger)
            let result: Result<[NodeInitialization], LockError>
            do {
                try await locks.connect()
                result = .success(try await locks.initializeNodes(force: force))
            } catch {
                result = .failure(error)
            }
            await locks.shutdown()
            return InitReport.Node(try result.get()[0])
        } catch {
            if let node = error.nodes.first { label = node.node }
            let reason = error.nodes.first.map { String($0.description.dropFirst(label.count + 2)) } ?? error.message
            return InitReport.Node(label, error.code == .misconfigured ? .refused(reason) : .failed(reason))
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
