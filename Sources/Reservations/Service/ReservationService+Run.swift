import ServiceLifecycle

extension ReservationService {
    /// Ends holds whose time is up and forgets old answers, until the task is cancelled or the service group shuts down.
    ///
    /// A store that is away does not end it: the next round tries again.
    public func run() async throws {
        await cancelWhenGracefulShutdown {
            var rounds = 0
            while !Task.isCancelled {
                await self.round(forgetting: rounds % 60 == 0)
                rounds += 1
                try? await Task.sleep(for: self.configuration.sweepInterval)
            }
        }
    }

    private func round(forgetting: Bool) async {
        do throws(ReservationError) {
            try await sweep()
            if forgetting { try await forgetRequests() }
        } catch {
            // Told by `asking`, which both go through. The next round tries again.
        }
    }

    private func forgetRequests() async throws(ReservationError) {
        let age = configuration.requestRetention
        var forgotten: Int
        repeat {
            forgotten = try await asking("forget") { () async throws(StoreError) in
                try await self.store.forgetRequests(olderThan: age, limit: 1_000)
            }
        } while forgotten == 1_000 && !Task.isCancelled
    }
}
