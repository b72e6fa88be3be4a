import RedisLocks

extension HistoryRecorder {
    /// Records the grant of a lease of the real client, as soon as it has been returned.
    package func granted(_ id: Int, _ lease: Lease, leaseInvoked: Int64? = nil) {
        granted(id, token: lease.fencingToken, deadline: lease.deadline, leaseInvoked: leaseInvoked)
    }

    /// Records renewals and the loss of a lease until it ends or the task is cancelled; run it beside the use of the lease.
    ///
    /// The last deadline is the lease's own, whether or not all events have been seen. A process that dies before it has
    /// written a renewal down leaves the deadline before: a shorter interval, in which nothing false can be found.
    package func observe(_ lease: Lease, as id: Int) async {
        let events = lease.events
        // Renewals between the grant and the beginning of the events.
        renewed(id, deadline: lease.deadline)
        for await event in events {
            switch event {
            case .renewed: renewed(id, deadline: lease.deadline)
            case .lost: lost(id)
            case .atRisk: break
            }
        }
        renewed(id, deadline: lease.deadline)
    }

    /// Acquires, runs `body`, and releases, recording all of it.
    ///
    /// - Returns: what `body` returns; `nil` when `acquire` does.
    /// - Throws: what `acquire` and `body` throw. A release that fails is recorded as unconfirmed, and not thrown.
    package func withLease<Result: Sendable>(
        client: String, names: [String],
        acquire: () async throws -> Lease?,
        body: (_ lease: Lease, _ operation: Int) async throws -> Result
    ) async throws -> Result? {
        let id = begin(client: client, names: names)
        let lease: Lease
        do {
            guard let granted = try await acquire() else {
                refused(id)
                return nil
            }
            lease = granted
        } catch {
            unknown(id)
            throw error
        }
        granted(id, lease)
        async let observation: Void = observe(lease, as: id)
        let result: Swift.Result<Result, any Error>
        do {
            result = .success(try await body(lease, id))
        } catch {
            result = .failure(error)
        }
        releaseInvoked(id)
        do {
            try await lease.release()
            releaseReturned(id)
        } catch {
            // It expires by itself: the deadline stands in the record.
        }
        await observation
        // The observation ends early with a cancelled task; renewals do not.
        renewed(id, deadline: lease.deadline)
        return try result.get()
    }
}
