import InMemoryLogging
import Logging
import Reactor
import TestSupport
import Testing

@testable import RedisLocks

@Suite("What is left when it is over", .timeLimit(.minutes(2)))
struct EndTests {
    @Test("A request that has to be sent again behind its own release leaves no key")
    func overtakenByRelease() async throws {
        try await withLocks { server, locks in
            try await locks.connect()
            // The server forgets the scripts, and is taught RELEASE again: an ACQUIRE is then asked twice, the second time
            // behind the RELEASE of the task that was cancelled.
            let lease = try await locks.acquire("other")
            #expect(try server.command("SCRIPT", "FLUSH") == "OK")
            try await lease.release()

            try server.pause()
            let waiter = Task { try await locks.acquire("x", ttl: .seconds(60), wait: .upTo(.seconds(30))) }
            let engine = locks.core.engine
            while await engine.attemptsUnderWay == 0 { await Task.yield() }
            waiter.cancel()
            await #expect(throws: LockError.self) { _ = try await waiter.value }
            try server.resume()
            // Behind everything else on the same connection, twice: once for the repeated ACQUIRE, once for its RELEASE.
            _ = try await locks.status(of: "y")
            _ = try await locks.status(of: "y")
            #expect(try server.command("EXISTS", "x") == "0")
        }
    }

    @Test("A client that is thrown away leaves no object behind", arguments: ["unused", "used", "holding"])
    func freed(state: String) async throws {
        try await RedisTestServer.with { server in
            let weak = WeakParts()
            do {
                let locks = try RedisLocks(.node(server.url))
                weak.core = locks.core
                weak.engine = locks.core.engine
                weak.reactor = locks.core.engine.runtime.reactor
                if state != "unused" {
                    weak.state = try await locks.withLock("x", ttl: .seconds(30)) { $0.handle.state }
                }
                if state == "holding" {
                    let lease = try await locks.acquire("y", ttl: .seconds(30))
                    weak.handle = lease.handle
                }
            }
            try await waitUntil("everything is freed", within: .seconds(30)) { weak.isEmpty }
            #expect(try server.command("EXISTS", "x", "y") == "0")
            #expect(weak.isEmpty)
        }
    }

    @Test("A lease that goes together with its client is reported all the same")
    func abandonedWithClient() async throws {
        let handler = InMemoryLogHandler()
        let logger = Logger(label: "test", factory: { _ in handler })
        try await RedisTestServer.with { server in
            for _ in 0..<20 {
                handler.clear()
                do { _ = try await RedisLocks(.node(server.url), logger: logger).acquire("x") }
                try await waitUntil("it is reported", within: .seconds(10)) {
                    handler.entries.contains { "\($0.message)".hasPrefix("Lease thrown away") }
                }
            }
            #expect(handler.entries.contains { $0.level == .error })
        }
    }
}

extension LockEngine {
    fileprivate var attemptsUnderWay: Int { waiters.values.count { $0.attempt != nil } }
}

private final class WeakParts {
    weak var core: LockCore?
    weak var engine: LockEngine?
    weak var reactor: Reactor?
    weak var handle: LeaseHandle?
    weak var state: LeaseState?

    var isEmpty: Bool { core == nil && engine == nil && reactor == nil && handle == nil && state == nil }
}
