import Logging
import RedisLocks
import Synchronization

/// What all contestants of the demonstration share.
struct DemoStage: Sendable {
    let node: String
    let allowPlaintextPassword: Bool
    let key: String
    let ttl: Duration
    /// How long a contestant thinks before it writes, at least and at most.
    let hold: ClosedRange<Duration>
    let ledger: Ledger
    let narrator: Narrator
    /// No new round begins when this is set.
    let isOver = Flag()

    /// A client with a connection of its own, as another machine would have it.
    func makeClient() throws(LockError) -> RedisLocks {
        var configuration = RedisLocks.Configuration()
        configuration.ttl = ttl
        configuration.clientName = "redislock-demo"
        configuration.unsafeAllowPlaintextPasswords = allowPlaintextPassword
        return try RedisLocks(.node(node), configuration: configuration)
    }

    func pause(_ range: ClosedRange<Duration>) async throws {
        let milliseconds = range.lowerBound.wholeMilliseconds...range.upperBound.wholeMilliseconds
        try await Task.sleep(for: .milliseconds(Int64.random(in: milliseconds)), clock: .continuous)
    }

    final class Flag: Sendable {
        private let value = Atomic(false)

        var isSet: Bool { value.load(ordering: .acquiring) }
        func set() { value.store(true, ordering: .releasing) }
    }
}
