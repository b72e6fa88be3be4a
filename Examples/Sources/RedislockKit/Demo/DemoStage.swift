import Logging
import RedisLocks
import Synchronization

/// What all contestants of the demonstration share.
struct DemoStage: Sendable {
    let nodes: NodeSet
    let key: String
    /// One that no contestant uses.
    var otherKey: String { key + ":other" }
    let ttl: Duration
    /// How long a contestant thinks before it writes, at least and at most.
    let hold: ClosedRange<Duration>
    let ledger: Ledger
    let narrator: Narrator
    /// No new round begins when this is set.
    let isOver = Flag()

    init(nodes: NodeSet, ttl: Duration, isLong: Bool, folder: String) {
        self.nodes = nodes
        self.ttl = ttl
        key = "redislock-demo:" + String(UInt64.random(in: .min ... .max), radix: 16)
        hold = isLong ? .milliseconds(400) ... .milliseconds(900) : .milliseconds(80) ... .milliseconds(200)
        ledger = Ledger(in: folder)
        narrator = Narrator(colours: Console.isTerminal)
    }

    /// A client with connections of its own, as another machine would have it.
    func makeClient() throws(LockError) -> RedisLocks {
        var configuration = nodes.configuration(ttl: ttl)
        configuration.clientName = "redislock-demo"
        return try RedisLocks(nodes.lockNodes, configuration: configuration)
    }

    /// Makes a client, and shuts it down whatever happens.
    func withClient<Result: Sendable>(_ body: (RedisLocks) async throws -> Result) async throws -> Result {
        let locks = try makeClient()
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(locks))
        } catch {
            result = .failure(error)
        }
        await locks.shutdown()
        return try result.get()
    }

    func pause(_ range: ClosedRange<Duration>) async throws {
        let milliseconds = range.lowerBound.wholeMilliseconds...range.upperBound.wholeMilliseconds
        try await Task.sleep(for: .milliseconds(Int64.random(in: milliseconds)), clock: .continuous)
    }

    /// Waits until somebody else has been granted the lock, and answers with the last token; `nil` when that takes too long.
    func nextGrant(after count: Int, within limit: Duration) async throws -> Int64? {
        let end = ContinuousClock.now + limit
        while ledger.tokens.count <= count {
            guard ContinuousClock.now < end else { return nil }
            try await Task.sleep(for: .milliseconds(20), clock: .continuous)
        }
        return ledger.tokens.last
    }

    final class Flag: Sendable {
        private let value = Atomic(false)

        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }
}
