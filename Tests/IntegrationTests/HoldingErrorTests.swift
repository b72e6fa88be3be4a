import RedisLocksTesting
import TestSupport
import Testing

@testable import RedisLocks

/// The documentation's table of errors, for leases that are held: renewal and release.
@Suite("Errors, and what a lease does about them", .timeLimit(.minutes(2)))
struct HoldingErrorTests {
    static let errorLines = [
        "MOVED 3999 127.0.0.1:6381", "CLUSTERDOWN down", "READONLY replica", "MASTERDOWN down", "LOADING loading",
        "BUSY busy", "NOREPLICAS none", "MISCONF disk", "OOM memory", "NOAUTH required", "NOPERM evalsha",
        "WRONGTYPE kind", "CORRUPT fencing counter", "ERR max number of clients reached", "UNBLOCKED", "FANCY",
    ]

    @Test(
        "A renewal that fails leaves the lease standing until its deadline, and is tried again until then",
        arguments: errorLines.map(Fault.refuse) + [.hang, .unreachable, .loseReply, .applyThenLoseReply])
    func stands(fault: Fault) async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            let deadline = lease.deadline
            bed.nodes[0].inject(fault, into: [.extend])
            await bed.advance(to: deadline - .microseconds(1))
            #expect(lease.isValid)
            #expect(lease.deadline == deadline, "nothing that failed counts")
            #expect(bed.nodes[0].requestCount(.extend) >= 3)
            await bed.advance(by: .microseconds(1))
            #expect(await lease.lost() == .expired)
        }
    }

    @Test(
        "A renewal that fails once is repeated, and renews",
        arguments: errorLines.map(Fault.refuse) + [.hang, .unreachable, .loseReply, .applyThenLoseReply])
    func recovers(fault: Fault) async throws {
        try await LockTestBed.with { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(10))
            let deadline = lease.deadline
            bed.nodes[0].inject(fault, into: [.extend], times: 1)
            await bed.advance(to: deadline - .seconds(1))
            #expect(lease.deadline > deadline)
            try await lease.release()
        }
    }

    @Test(
        "On the wire: what is answered badly is asked again with the same owner value, and renews",
        arguments: [Ambiguity.errorReply("NOPERM no"), .errorReply("READONLY no"), .errorReply("LOADING no")]
            + Ambiguity.all.filter { !$0.testDescription.contains("timeout") })
    func recoversOnTheWire(_ ambiguity: Ambiguity) async throws {
        let node = try await withFakeNode(.fourSecondsPerRequest) { request, earlier in
            request.script == .extend && earlier == 0 ? ambiguity.answer : .healthy(request.script)
        } body: { _, locks in
            // Renewed after 5 s, and valid for 10 s more.
            let lease = try await locks.acquire("x", ttl: .seconds(15))
            #expect(await isRenewed(lease.events))
            #expect(lease.isValid)
            try await lease.release()
        }
        #expect(node.requests(.extend).count >= 2)
        #expect(Set(node.requests.map(\.owner)).count == 1)
    }

    @Test("\"Not yours\" ends the lease at once")
    func taken() async throws {
        let node = try await withFakeNode(.fourSecondsPerRequest) { request, _ in
            request.script == .extend ? .notOurs : .healthy(request.script)
        } body: { _, locks in
            let lease = try await locks.acquire("x", ttl: .seconds(15))
            let deadline = lease.deadline
            #expect(await lease.lost() == .taken)
            #expect(lease.deadline == deadline)
        }
        #expect(node.requests(.extend).count == 1)
    }

    @Test("A release whose answer is ambiguous is repeated twice, then once more quietly", arguments: Ambiguity.all)
    func ambiguousRelease(_ ambiguity: Ambiguity) async throws {
        let node = try await withFakeNode(ambiguity.configuration) { request, earlier in
            request.script == .release && earlier < 3 ? ambiguity.answer : .healthy(request.script)
        } body: { node, locks in
            let lease = try await locks.acquire("x")
            let error = try await #require(throws: LockError.self) { try await lease.release() }
            #expect(error.code == .quorumUnreachable)
            var releases = 0
            while releases < 4, await node.next(where: { $0.script == .release }) != nil { releases += 1 }
            #expect(releases == 4)
        }
        #expect(node.requests(.release).count == 4)
        #expect(Set(node.requests.map(\.owner)).count == 1)
    }

    @Test("A release whose answer got lost and that then finds nothing to delete was a release")
    func releasedBefore() async throws {
        let node = try await withFakeNode { request, earlier in
            guard request.script == .release else { return .healthy(request.script) }
            return earlier == 0 ? .endOfFile : .released(0)
        } body: { _, locks in
            try await locks.acquire("x").release()
        }
        #expect(node.requests(.release).count == 2)
    }

    @Test(
        "A release that was certainly not applied is not repeated in haste: once more, quietly",
        arguments: [
            "LOADING no", "BUSY no", "MISCONF no", "NOREPLICAS no", "READONLY no", "NOPERM no", "CLUSTERDOWN no",
        ])
    func refusedRelease(line: String) async throws {
        let node = try await withFakeNode { request, earlier in
            request.script == .release && earlier == 0 ? .error(line) : .healthy(request.script)
        } body: { node, locks in
            let lease = try await locks.acquire("x")
            let error = try await #require(throws: LockError.self) { try await lease.release() }
            #expect(error.code == .quorumUnreachable)
            #expect("\(error)".contains(line.prefix { $0 != " " }))
            for _ in 0..<2 { #expect(await node.next { $0.script == .release } != nil) }
        }
        #expect(node.requests(.release).count == 2)
    }

    @Test("A cancelled task's wait ends at once, and what its request took is given back")
    func cancelled() async throws {
        let node = try await withFakeNode { request, _ in
            request.script == .acquire ? .late(FakeLockNode.Answer.acquired(1, 5)) : .released(1)
        } body: { node, locks in
            let task = Task { try await locks.acquire("x", wait: .upTo(.seconds(3600))) }
            #expect(await node.next { $0.script == .acquire } != nil)
            task.cancel()
            let error = await #expect(throws: LockError.self) { _ = try await task.value }
            #expect(error?.code == .cancelled)
            #expect(await node.next { $0.script == .release } != nil)
        }
        #expect(Set(node.requests.map(\.owner)).count == 1)
    }

    @Test("Renewals come within a tenth of a third of the ttl, and not in step")
    func jitter() async throws {
        var configuration = RedisLocks.Configuration()
        configuration.maximumHold = nil
        try await LockTestBed.with(configuration: configuration) { bed in
            let lease = try await bed.locks.acquire("job", ttl: .seconds(30))
            // A deadline tells when the request that set it began.
            var deadlines = [lease.deadline]
            while deadlines.count <= 100 {
                await bed.advance(by: .seconds(1))
                if lease.deadline != deadlines[deadlines.count - 1] { deadlines.append(lease.deadline) }
                try lease.checkValid()
            }
            let intervals = zip(deadlines, deadlines.dropFirst()).map { $1 - $0 }
            let slack = Duration.microseconds(1)
            #expect(intervals.allSatisfy { $0 >= .seconds(9) - slack && $0 <= .seconds(11) + slack })
            #expect(intervals.contains { $0 < .seconds(9.6) })
            #expect(intervals.contains { $0 > .seconds(10.4) })
            try await lease.release()
        }
    }

    @Test("A master that becomes a replica while a lease is held: it ends by its deadline, and the next says why")
    func demotedWhileHolding() async throws {
        try await withLocks { server, locks in
            let lease = try await locks.acquire("x", ttl: .seconds(3))
            // Nobody listens there: the replica keeps its data, and says READONLY.
            #expect(try server.command("REPLICAOF", "127.0.0.1", "1") == "OK")
            #expect(await lease.lost() == .expired)
            let error = try await #require(throws: LockError.self) {
                _ = try await locks.acquire("x", wait: .upTo(.seconds(60)))
            }
            #expect(error.code == .misconfigured)
            #expect("\(error)".contains("connect to the master"))
        }
    }
}

extension Ambiguity {
    static func errorReply(_ line: String) -> Ambiguity {
        Ambiguity(testDescription: line, answer: .error(line))
    }
}
