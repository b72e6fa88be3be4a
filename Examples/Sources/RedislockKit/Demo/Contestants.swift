import RedisLocks

extension DemoStage {
    /// A task that wants the lock again and again, and adds one to the number each time.
    func contestant(_ name: String) async throws {
        let locks = try makeClient()
        while !isOver.isSet, !Task.isCancelled {
            do {
                try await round(name, locks)
                try await pause(hold.lowerBound / 2...hold.upperBound)
            } catch is CancellationError {
                break
            } catch let error as LockError where error.code.leaseLossReason != nil {
                narrator.lostLease(name, "lost its lease and gives up this round")
            } catch {
                narrator.say(name, "\(error)")
                try? await pause(hold)
            }
        }
        await locks.shutdown()
    }

    private func round(_ name: String, _ locks: RedisLocks) async throws {
        narrator.waits(name)
        defer { narrator.waitsNoMore(name) }
        let start = ContinuousClock.now
        try await locks.withLock(key) { lease in
            let number = ledger.open(token: lease.fencingToken)
            narrator.holds(name, token: lease.fencingToken, waited: ContinuousClock.now - start)
            try await pause(hold)
            if ledger.write(number + 1, token: lease.fencingToken) {
                narrator.wrote(name, number + 1)
            } else {
                narrator.wasRefused(name, token: lease.fencingToken, last: ledger.tokens.last ?? 0)
            }
        }
    }

    /// A holder whose lock an operator breaks.
    func brokenHolder(_ name: String) async throws {
        try await withClient { try await holdUntilBroken(name, $0) }
    }

    private func holdUntilBroken(_ name: String, _ locks: RedisLocks) async throws {
        narrator.waits(name)
        defer { narrator.waitsNoMore(name) }
        let start = ContinuousClock.now
        let lease = try await locks.acquire(key)
        _ = ledger.open(token: lease.fencingToken)
        narrator.holds(name, token: lease.fencingToken, waited: ContinuousClock.now - start)
        let broken = ContinuousClock.now
        try await locks.breakLock(key)
        narrator.say("operator", "breaks the lock (redislock break); \(name) learns of it when it renews")
        if let reason = await lease.lost() {
            let delay = ContinuousClock.now - broken
            narrator.lostLease(name, "stops after \(delay.forPeople), without writing: \(reason)")
        }
        // Tells the client that nobody needs the lease any more; that it is lost is known.
        try? await lease.release()
    }
}
