import TestSupport
import Testing

@testable import RedisLocks

@Suite("Losing a lease on one Redis server", .timeLimit(.minutes(2)))
struct LossTests {
    @Test("A server that stands still past the ttl: the lease is lost by the local deadline, the next token is greater")
    func paused() async throws {
        try await withLocks { server, locks in
            let lease = try await locks.acquire("x", ttl: .seconds(1))
            try server.pause()
            #expect(await lease.lost() == .expired)
            #expect(!lease.isValid)
            let error = #expect(throws: LockError.self) { try lease.checkValid() }
            #expect(error?.code == .leaseLost(.expired))
            try server.resume()
            let next = try await locks.acquire("x")
            #expect(next.fencingToken > lease.fencingToken)
            try await next.release()
        }
    }

    @Test("A killed server loses the lease in time; after its restart, empty, tokens go on rising")
    func killed() async throws {
        try await withLocks { server, locks in
            let lease = try await locks.acquire("x", ttl: .seconds(1))
            try server.kill()
            #expect(await lease.lost() == .expired)
            let unreachable = try await #require(throws: LockError.self) {
                _ = try await locks.acquire("x", wait: .upTo(.milliseconds(100)))
            }
            #expect(unreachable.code == .quorumUnreachable)
            try server.restart()
            let next = try await locks.acquire("x", wait: .upTo(.seconds(30)))
            #expect(next.fencingToken > lease.fencingToken)
            try await next.release()
        }
    }

    @Test("A closed connection costs nothing: the lease is renewed over a new one")
    func connectionKilled() async throws {
        try await withLocks { server, locks in
            let lease = try await locks.acquire("x", ttl: .seconds(9))
            let events = lease.events
            _ = try server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            #expect(await isRenewed(events))
            #expect(lease.isValid)
            try await lease.release()
        }
    }

    @Test("Losing the lease cancels the body, waits for it, and says so, whatever the body does")
    func bodyCancelled() async throws {
        try await withLocks { server, locks in
            let ended = Flag()
            let error = try await #require(throws: LockError.self) {
                try await locks.withLock("x", ttl: .seconds(9)) { _ in
                    _ = try server.command("DEL", "x")
                    await untilCancelled()
                    ended.set()
                    return "ignored"
                }
            }
            #expect(error.code == .leaseLost(.taken))
            #expect(error.bodyError == nil)
            #expect(ended.isSet)
        }
    }

    @Test("The body's own error is kept beside the loss")
    func bodyErrorKept() async throws {
        struct Failure: Error {}
        try await withLocks { server, locks in
            let error = try await #require(throws: LockError.self) {
                try await locks.withLock("x", ttl: .seconds(9)) { _ in
                    _ = try server.command("FLUSHALL")
                    await untilCancelled()
                    throw Failure()
                }
            }
            #expect(error.code == .leaseLost(.taken))
            #expect(error.bodyError is Failure)
        }
    }

    @Test("A lock that was taken away while the body worked is reported at the release")
    func takenBeforeRelease() async throws {
        try await withLocks { server, locks in
            let error = try await #require(throws: LockError.self) {
                try await locks.withLock("x") { _ in
                    _ = try server.command("SET", "x", "somebody else")
                }
            }
            #expect(error.code == .leaseLost(.taken))
            #expect(try server.command("GET", "x") == "somebody else")
        }
    }

    @Test("A body that works for as long as the ttl keeps its lock by renewal")
    func renewed() async throws {
        try await withLocks { server, locks in
            try await locks.withLock("x", ttl: .seconds(9)) { lease in
                let first = lease.deadline
                var renewals = 0
                for await event in lease.events {
                    guard case .renewed(let deadline) = event else { continue }
                    #expect(deadline > first)
                    renewals += 1
                    if renewals == 3 { break }
                }
                #expect(renewals == 3)
                let fence = try server.command("GET", "{x}:fence")
                #expect(fence == "\(lease.fencingToken)")
            }
        }
    }

    @Test("Nothing is held for longer than the maximum hold")
    func maximumHold() async throws {
        var configuration = RedisLocks.Configuration()
        configuration.ttl = .seconds(9)
        configuration.maximumHold = .seconds(9)
        try await withLocks(configuration: configuration) { _, locks in
            let error = try await #require(throws: LockError.self) {
                try await locks.withLock("x") { _ in await untilCancelled() }
            }
            #expect(error.code == .leaseLost(.maximumHold))
        }
    }

    @Test("Shutting down cancels bodies and releases what was held")
    func shutdown() async throws {
        try await RedisTestServer.with { server in
            let locks = try RedisLocks(.node(server.url))
            let (started, start) = AsyncStream.makeStream(of: Void.self)
            let holder = Task {
                try await locks.withLock("body") { _ in
                    start.yield()
                    await untilCancelled()
                }
            }
            for await _ in started { break }
            let lease = try await locks.acquire("handle")
            await locks.shutdown()
            let error = await #expect(throws: LockError.self) { try await holder.value }
            #expect(error?.code == .leaseLost(.shutdown))
            #expect(await lease.lost() == .shutdown)
            #expect(try server.command("EXISTS", "body", "handle") == "0")
            let closed = await #expect(throws: LockError.self) { _ = try await locks.acquire("x") }
            #expect(closed?.code == .closed)
            await locks.shutdown()
        }
    }

    @Test("A client that is thrown away gives back what it held, and so is a lease")
    func thrownAway() async throws {
        try await RedisTestServer.with { server in
            do {
                let locks = try RedisLocks(.node(server.url))
                do { _ = try await locks.acquire("dropped") }
                try await waitUntil("the dropped lease is released", within: .seconds(5)) {
                    try server.command("EXISTS", "dropped") == "0"
                }
                let status = try await locks.status(of: "dropped")
                #expect(status.isHeld == false)
            }
            try await waitUntil("the connection is closed", within: .seconds(5)) {
                try !server.command("CLIENT", "LIST").contains("name=redis-locks")
            }
        }
    }
}

/// Waits for the next renewal, which an early warning may precede; false when the lease ends before.
func isRenewed(_ events: AsyncStream<LeaseEvent>) async -> Bool {
    for await event in events {
        if case .renewed = event { return true }
    }
    return false
}

/// Suspends until the task is cancelled.
func untilCancelled() async {
    let (stream, continuation) = AsyncStream.makeStream(of: Never.self)
    await withTaskCancellationHandler {
        for await _ in stream {}
    } onCancel: {
        continuation.finish()
    }
}
