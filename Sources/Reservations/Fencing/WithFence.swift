import Metrics
import RedisLocks

extension RedisLocks {
    /// Runs `body` under the lock with its fencing token, and anew with another lease when the row refused the token.
    ///
    /// ```swift
    /// try await locks.withFence("account:7") { token in
    ///     // The statement ends in: ... AND fence <= :token
    ///     let changed = try await accounts.withdraw(5, from: 7, fence: token)
    ///     guard changed == 1 else { throw StaleFence(token: token) }
    /// }
    /// ```
    ///
    /// A ``StaleFence`` means that this process was paused past its lease, or that the lock's servers lost their memory: the
    /// work is dropped, counted as `reservations_stale_fences_total`, and done again from its beginning, never written around
    /// the row.
    ///
    /// - Parameters:
    ///   - name: the lock's name.
    ///   - ttl: how long a crashed process blocks the name.
    ///   - wait: how long to wait for the lock, each time.
    ///   - attempts: how often the body may be run, at least once.
    ///   - body: reads and writes under the token. It must commit before it returns, and throw ``StaleFence`` when its
    ///     statement changed no row because of the fence.
    /// - Throws: what `withLock` and `body` throw; ``StaleFence`` when the last attempt was refused as well.
    public func withFence<Result: Sendable>(
        _ name: String, ttl: Duration? = nil, wait: Wait? = nil, attempts: Int = 3,
        _ body: @escaping @Sendable (Int64) async throws -> Result
    ) async throws -> Result {
        var attempt = 1
        while true {
            do {
                return try await withLock(name, ttl: ttl, wait: wait) { try await body($0.fencingToken) }
            } catch {
                guard let stale = error as? StaleFence ?? (error as? LockError)?.bodyError as? StaleFence else {
                    throw error
                }
                Counter(label: "reservations_stale_fences_total").increment()
                guard attempt < attempts, await RetryDelay().wait(after: attempt) else { throw stale }
            }
            attempt += 1
        }
    }
}
