import CoreMetrics
import InMemoryLogging
import InMemoryTracing
import Instrumentation
import Logging
import MetricsTestKit
import ServiceLifecycle
import TestSupport
import Testing

@testable import RedisLocks

/// The metrics and tracing systems are the process's: this suite is the only one that sets them.
@Suite("What can be watched", .serialized, .timeLimit(.minutes(2)))
struct ObservabilityTests {
    private static let metrics: TestMetrics = {
        let metrics = TestMetrics()
        MetricsSystem.bootstrap(metrics)
        return metrics
    }()
    private static let tracer: InMemoryTracer = {
        let tracer = InMemoryTracer()
        InstrumentationSystem.bootstrap(tracer)
        return tracer
    }()

    @Test("Acquires, releases, waits, losses and node outcomes are counted")
    func metrics() async throws {
        let metrics = Self.metrics
        // Other suites share the process: compare what this one adds, at least.
        let acquired = Self.count(metrics, "redis_locks_acquired_total")
        try await withLocks { server, locks in
            try await locks.withLock("observed") { _ in }
            let lease = try await locks.acquire("observed", ttl: .seconds(9))
            #expect(try await locks.acquireIfAvailable("observed") == nil)
            _ = try server.command("DEL", "observed")
            #expect(await lease.lost() == .taken)
        }
        #expect(Self.count(metrics, "redis_locks_acquired_total") >= acquired + 2)
        #expect(Self.count(metrics, "redis_locks_failed_total", [("code", "waitTimedOut")]) >= 1)
        #expect(try !metrics.expectTimer("redis_locks_acquire_seconds").values.isEmpty)
        try await waitUntil("the loss is counted, by a task of its own", within: .seconds(10)) {
            Self.count(metrics, "redis_locks_lost_total", [("reason", "taken")]) >= 1
        }
    }

    @Test("An acquire is a span with the name, the token and the attempts; a failure is recorded in it")
    func spans() async throws {
        let tracer = Self.tracer
        try await withLocks { server, locks in
            let token = try await locks.withLock("traced") { $0.fencingToken }
            _ = try server.command("SET", "traced", "foreign", "PX", "60000")
            _ = try await locks.acquireIfAvailable("traced")
            let spans = tracer.finishedSpans.filter {
                $0.attributes["redis_locks.names"]?.toSpanAttribute() == "traced"
            }
            #expect(spans.count == 2)
            #expect(spans.first?.operationName == "redis-locks acquire")
            #expect(spans.first?.attributes["redis_locks.fencing_token"]?.toSpanAttribute() == .int64(token))
            #expect(spans.last?.status?.code == .error)
        }
    }

    @Test("Logs tell of losses, failures and connections, with constant messages and without secrets")
    func logs() async throws {
        let handler = InMemoryLogHandler()
        var logger = Logger(label: "test", factory: { _ in handler })
        logger.logLevel = .trace
        var options = RedisTestServer.Options()
        options.password = "open-sesame"
        try await RedisTestServer.with(options) { server in
            try await RedisLocks.with(.node(server.url(password: "open-sesame")), logger: logger) { locks in
                let lease = try await locks.acquire("logged", ttl: .seconds(3))
                let owner = try server.command("GET", "logged")
                try server.pause()
                #expect(await lease.lost() == .expired)
                try server.resume()
                try await waitUntil("the log is written, by a task of its own", within: .seconds(10)) {
                    handler.entries.contains { $0.message == "Lease lost" }
                }
                let messages = Set(handler.entries.map { "\($0.message)" })
                #expect(messages.isSuperset(of: ["Lock node connected", "Lock acquired", "Lease lost"]))
                #expect(messages.contains { $0.hasPrefix("Lease renewal failed") })
                let everything = handler.entries.map { "\($0.message) \($0.metadata)" }.joined()
                #expect(!everything.contains("open-sesame"))
                #expect(!everything.contains(owner))
            }
        }
    }

    @Test("A server that would forget its locks is mentioned, once; one with an append-only file is not")
    func caveat() async throws {
        for keepsLog in [false, true] {
            let handler = InMemoryLogHandler()
            let logger = Logger(label: "test", factory: { _ in handler })
            try await RedisTestServer.with { server in
                _ = try server.command("CONFIG", "SET", "appendonly", keepsLog ? "yes" : "no")
                try await RedisLocks.with(.node(server.url), logger: logger) { locks in
                    for _ in 0..<2 {
                        try await locks.withLock("x", ttl: .seconds(60)) { _ in }
                        _ = try server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                    }
                    try await locks.connect()
                    try await waitUntil("the log is written, by a task of its own", within: .seconds(10)) {
                        handler.entries.count { $0.message == "Lock node connected" } >= 2
                    }
                }
            }
            #expect(handler.entries.count { $0.message == "Lock node with a caveat" } == (keepsLog ? 0 : 1))
        }
    }

    @Test("As a service it connects, serves, and shuts down with its group")
    func service() async throws {
        try await RedisTestServer.with { server in
            let locks = try RedisLocks(.node(server.url))
            let group = ServiceGroup(
                services: [locks], logger: Logger(label: "test", factory: { _ in InMemoryLogHandler() }))
            async let running: Void = group.run()
            let token = try await locks.withLock("served") { $0.fencingToken }
            #expect(token > 0)
            await group.triggerGracefulShutdown()
            try await running
            let error = await #expect(throws: LockError.self) { _ = try await locks.acquire("late") }
            #expect(error?.code == .closed)
        }
    }

    @Test("A service that cannot work ends with the reason")
    func brokenService() async throws {
        var options = RedisTestServer.Options()
        options.password = "open-sesame"
        try await RedisTestServer.with(options) { server in
            let locks = try RedisLocks(.node("redis://127.0.0.1:\(server.port)"))
            let error = try await #require(throws: LockError.self) { try await locks.run() }
            #expect(error.code == .misconfigured)
        }
    }

    private static func count(_ metrics: TestMetrics, _ label: String, _ dimensions: [(String, String)] = []) -> Int64 {
        (try? metrics.expectCounter(label, dimensions).totalValue) ?? 0
    }
}
