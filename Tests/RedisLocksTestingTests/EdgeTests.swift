import RedisLocksTesting
import Testing

@testable import RedisLocks

@Suite("Edges of waiting and ending", .timeLimit(.minutes(1)))
struct EdgeTests {
    @Test("A lease that ended with its client says so when it is released")
    func releaseAfterShutdown() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job")
            await bed.shutdown()
            #expect(await code { try lease.checkValid() } == .leaseLost(.shutdown))
            #expect(await code { try await lease.release() } == .leaseLost(.shutdown))
            #expect(await code { try await lease.release() } == .notHeld)
        }
    }

    @Test("Shutdown asks for nothing on behalf of waiters that it turns away")
    func shutdownStartsNoAttempts() async throws {
        try await LockTestBed.with { bed in
            bed.hold("job")
            let codes = Recorder<LockError.Code?>()
            await withTaskGroup(of: Void.self) { group in
                for _ in 0..<20 {
                    group.addTask { codes.record(await code { try await bed.locks.acquire("job") }) }
                }
                await bed.nodes[0].waitForRequests(.acquire)
                await bed.settle()
                await bed.shutdown()
            }
            #expect(codes.all == Array(repeating: .closed, count: 20))
            #expect(bed.nodes[0].requestCount(.acquire) == 1)
        }
    }

    @Test("A wait on a server that accepts and says nothing ends with its budget, the first connection's time included")
    func silentServer() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.hang)
            let start = bed.now
            let result = await code {
                try await bed.advanceUntilDone { try await bed.locks.acquire("job", wait: .upTo(.milliseconds(100))) }
            }
            #expect(result == .quorumUnreachable)
            // connectTimeout once, and the node timeout of one request and its repetition.
            #expect(bed.now - start <= .seconds(3))
        }
    }

    @Test("Whoever stands behind a waiter that cannot reach the server is told so, not that the lock is held")
    func unreachableForAll() async throws {
        try await LockTestBed.with { bed in
            bed.nodes[0].inject(.unreachable)
            let codes = Recorder<LockError.Code?>()
            let start = bed.now
            try await bed.advanceUntilDone {
                await withTaskGroup(of: Void.self) { group in
                    for _ in 0..<20 {
                        group.addTask {
                            codes.record(await code { try await bed.locks.acquire("job", wait: .upTo(.seconds(2))) })
                        }
                    }
                }
            }
            #expect(codes.all == Array(repeating: .quorumUnreachable, count: 20))
            #expect(bed.now - start < .seconds(4))
        }
    }

    @Test("A task that is cancelled before it asks sends nothing")
    func cancelledBefore() async throws {
        try await LockTestBed.with { bed in
            try await bed.locks.connect()
            let task = Task(executorPreference: bed.executor) {
                await waitForCancellation()
                return await code { try await bed.locks.acquire("job") }
            }
            task.cancel()
            #expect(await task.value == .cancelled)
            #expect(bed.nodes[0].requestCount(.acquire) == 0)
            #expect(bed.nodes[0].fence(of: "job") == nil)
        }
    }

    @Test("A release without a connection is sent when there is one again, although nobody waits for it any more")
    func releaseLeftBehind() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job")
            bed.nodes[0].inject(.unreachable, into: [.release], times: 1)
            #expect(await code { try await lease.release() } == .quorumUnreachable)
            await bed.settle()
            #expect(!bed.nodes[0].isHeld("job"))
        }
    }

    @Test("A maximum hold of one ttl ends the lease at the ttl, for that reason", arguments: [10.0, 10.01, 15])
    func shortMaximumHold(seconds: Double) async throws {
        var configuration = RedisLocks.Configuration()
        configuration.maximumHold = .seconds(seconds)
        try await LockTestBed.with(configuration: configuration) { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            let end = bed.now + .seconds(seconds)
            await bed.advance(to: end - .microseconds(1))
            #expect(lease.isValid)
            await bed.advance(by: .microseconds(1))
            #expect(await lease.lost() == .maximumHold)
            #expect(await code { try await lease.release() } == .leaseLost(.maximumHold))
            #expect(!bed.nodes[0].isHeld("job"))
        }
    }

    @Test("A renewal that is under way when the lease is released changes nothing")
    func releaseDuringRenewal() async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(9))
            bed.nodes[0].inject(.delayReply(.milliseconds(400)), into: [.extend], times: 1)
            let renewals = bed.nodes[0].requestCount(.extend)
            while bed.nodes[0].requestCount(.extend) == renewals { await bed.advance(by: .milliseconds(100)) }
            #expect(
                try await bed.advanceUntilDone {
                    try await lease.release(); return !lease.isValid
                })
            await bed.advance(by: .seconds(20))
            #expect(!bed.nodes[0].isHeld("job"))
            #expect(bed.nodes[0].requestCount(.extend) == renewals + 1)
        }
    }

    @Test("Shutdown while requests are under way ends each of them, and leaves no key")
    func shutdownUnderWay() async throws {
        try await LockTestBed.with { bed in
            try await bed.locks.connect()
            let held = try await bed.locks.acquire("held")
            bed.nodes[0].inject(.delayReply(.milliseconds(300)))
            async let acquiring = code { try await bed.locks.acquire("new") }
            async let releasing = code { try await held.release() }
            await bed.nodes[0].waitForRequests(.acquire, count: 2)
            await bed.nodes[0].waitForRequests(.release)
            await bed.shutdown()
            #expect(await acquiring == .closed)
            #expect(await releasing == nil)
            #expect(!bed.nodes[0].isHeld("new") && !bed.nodes[0].isHeld("held"))
        }
    }

    @Test("A client keeps nothing of the task that made it")
    func inheritsNothing() async throws {
        final class Context: Sendable {
            @TaskLocal static var current: Context?
        }
        weak var context: Context?
        let locks = try Context.$current.withValue(Context()) {
            context = Context.current
            return try RedisLocks(.node("redis://localhost"))
        }
        #expect(context == nil)
        await locks.shutdown()
    }

    @Test("Limits beyond every bound are refused, not trapped on")
    func hugeNumbers() {
        let huge: [(inout RedisLocks.Configuration) -> Void] = [
            { $0.maximumWaiters = .max },
            { $0.maximumWaiters = .min },
            { $0.maximumNamesPerLock = .max },
            { $0.ttl = .seconds(Int64.max) },
            { $0.ttl = .seconds(Int64.min) },
            { $0.maximumTTL = .seconds(Int64.max) },
            { $0.maximumHold = .seconds(Int64.max) },
            { $0.minimumValidity = .seconds(Int64.max) },
            { $0.nodeTimeout = .seconds(Int64.max) },
            { $0.earlyWarning = .seconds(Int64.max) },
            { $0.earlyWarning = .seconds(Int64.min) },
            { $0.counterExpiry = .seconds(Int64.max) },
            { $0.connectTimeout = .seconds(Int64.max) },
            { $0.shutdownGrace = .seconds(Int64.max) },
            { $0.driftFactor = .infinity },
            { $0.driftFactor = .nan },
        ]
        for (index, change) in huge.enumerated() {
            var configuration = RedisLocks.Configuration()
            change(&configuration)
            let error = #expect(throws: LockError.self, "\(index)") {
                try RedisLocks(.node("redis://localhost"), configuration: configuration)
            }
            #expect(error?.code == .misconfigured)
        }
    }

    @Test("Durations beyond every bound are refused or cut per lock, too")
    func hugeDurations() async throws {
        try await LockTestBed.with { bed in
            for ttl: Duration in [.seconds(Int64.max), .seconds(Int64.min), .zero, .nanoseconds(1)] {
                #expect(await code { try await bed.locks.acquire("job", ttl: ttl) } == .misconfigured)
            }
            for wait: Duration in [.seconds(Int64.max), .seconds(Int64.min)] {
                try await bed.locks.withLock("job", wait: .upTo(wait)) { _ in }
            }
            #expect(await code { try await bed.locks.acquire([String]()) } == .misconfigured)
            #expect(await code { try await bed.locks.status(of: "") } == .misconfigured)
            let same = try await bed.locks.acquire(["a", "a"])
            #expect(same.names == ["a"])
            try await same.release()
        }
    }

    @Test("A lease that was once seen expired stays lost, although an answer that came in time is booked after that")
    func noResurrection() {
        let start = ContinuousClock.now
        let state = LeaseState(names: [], token: 1, deadline: start + .seconds(1))
        #expect(state.status(at: start) == .held)
        #expect(state.status(at: start + .seconds(1)) == .lost(.expired))
        #expect(!state.extend(to: start + .seconds(2)))
        #expect(state.status(at: start + .seconds(1)) == .lost(.expired))
    }
}
