import CoreMetrics
import Logging
import Reactor
import Synchronization
import TestSupport
import Testing

@testable import RedisLocks

#if canImport(Glibc)
    import Glibc
#endif

/// Each in a process of its own: other tests open descriptors and start threads, and metrics belong to the process.
@Suite("What a process keeps, and where it is called back", .timeLimit(.minutes(2)))
struct LeakTests {
    #if os(Linux)
        @Test("Waiters, leases and clients by the hundred leave no descriptor, no thread and no connection behind")
        func nothingLeaks() async {
            await #expect(processExitsWith: .success) {
                try await RedisTestServer.with { server in
                    try await LeakWork.all(server, waiters: 50, leases: 50, clients: 2)
                    let before = ProcessUse.now
                    try await LeakWork.all(server, waiters: 1000, leases: 1000, clients: 100)
                    // Threads of the runtime's pool come and go by a few; ours would remain by the hundred.
                    try await waitUntil("everything is given back") {
                        ProcessUse.now.descriptors <= before.descriptors
                            && ProcessUse.now.threads <= before.threads + 8
                    }
                    let clients = try server.command("CLIENT", "LIST")
                    #expect(!clients.contains("name=redis-locks"))
                }
            }
        }
    #endif

    @Test("No log handler and no metrics backend is called on the thread that serves the locks")
    func neverOnTheReactor() async {
        await #expect(processExitsWith: .success) {
            let watch = ReactorWatch()
            MetricsSystem.bootstrap(WatchingMetrics(watch: watch))
            var logger = Logger(label: "test", factory: { _ in WatchingLog(watch: watch) })
            logger.logLevel = .trace
            try await RedisTestServer.with { server in
                try await RedisLocks.with(.node(server.url), configuration: .fourSecondsPerRequest, logger: logger) {
                    locks in
                    let reactor = locks.core.engine.runtime.reactor
                    watch.watch(reactor)
                    // The control: the thread is known.
                    let isKnown = await withCheckedContinuation { continuation in
                        reactor.execute { continuation.resume(returning: watch.isOnReactor) }
                    }
                    #expect(isKnown)
                    try await locks.withLock("x") { _ in }
                    let lease = try await locks.acquire("x", ttl: .seconds(15))
                    _ = try await locks.acquireIfAvailable("x")
                    do { _ = try await locks.acquire("thrown away") }
                    let renewed = try await locks.acquire("renewed", ttl: .seconds(15))
                    try await lease.release()
                    let taken = try await locks.acquire("x", ttl: .seconds(15))
                    _ = try server.command("DEL", "x")
                    _ = try server.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
                    #expect(await isRenewed(renewed.events))
                    #expect(await taken.lost() == .taken)
                }
                let counts = watch.counts
                #expect(counts.logs > 5 && counts.metrics > 5)
                #expect(counts.onReactor == 0)
            }
        }
    }
}

/// The work after which nothing must be left.
private enum LeakWork {
    static func all(_ server: RedisTestServer, waiters: Int, leases: Int, clients: Int) async throws {
        try await RedisLocks.with(.node(server.url), configuration: .patient) { locks in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<waiters {
                    group.addTask { try await locks.withLock("hot", wait: .upTo(.seconds(100))) { _ in } }
                }
                try await group.waitForAll()
            }
            try await withThrowingTaskGroup(of: Lease.self) { group in
                for index in 0..<leases { group.addTask { try await locks.acquire("lease:\(index)") } }
                for try await lease in group { try await lease.release() }
            }
        }
        for index in 0..<clients {
            let locks = try RedisLocks(.node(server.url), configuration: .patient)
            try await locks.withLock("client:\(index)") { _ in }
            await locks.shutdown()
        }
    }
}

#if os(Linux)
    /// What this process has of the system.
    private struct ProcessUse {
        var descriptors = 0
        var threads = 0

        static var now: ProcessUse {
            var use = ProcessUse()
            use.descriptors = entries(of: "/proc/self/fd").count
            use.threads = entries(of: "/proc/self/task").count
            return use
        }

        private static func entries(of folder: String) -> [String] {
            guard let stream = opendir(folder) else { return [] }
            defer { closedir(stream) }
            var names: [String] = []
            while let entry = readdir(stream) {
                let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                    String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
                }
                if !name.hasPrefix(".") { names.append(name) }
            }
            return names
        }
    }
#endif

/// Counts calls, and those on the Reactor's thread.
private final class ReactorWatch: Sendable {
    struct Counts {
        var logs = 0
        var metrics = 0
        var onReactor = 0
    }

    private let reactor = Mutex<Reactor?>(nil)
    private let fields = Mutex(Counts())

    var counts: Counts { fields.withLock { $0 } }
    var isOnReactor: Bool { reactor.withLock { $0?.isOnReactor ?? false } }

    func watch(_ reactor: Reactor) { self.reactor.withLock { $0 = reactor } }

    func called(_ count: WritableKeyPath<Counts, Int>) {
        let isWrong = isOnReactor
        fields.withLock { fields in
            fields[keyPath: count] += 1
            if isWrong { fields.onReactor += 1 }
        }
    }
}

private struct WatchingLog: LogHandler {
    let watch: ReactorWatch
    var metadata: Logger.Metadata = [:]
    var logLevel = Logger.Level.trace

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) { watch.called(\.logs) }
}

private struct WatchingMetrics: MetricsFactory {
    let watch: ReactorWatch

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler { make() }
    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler { make() }
    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { make() }
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}

    private func make() -> WatchingHandler {
        watch.called(\.metrics)
        return WatchingHandler(watch: watch)
    }
}

private final class WatchingHandler: CounterHandler, RecorderHandler, TimerHandler {
    private let watch: ReactorWatch

    init(watch: ReactorWatch) { self.watch = watch }

    func increment(by amount: Int64) { watch.called(\.metrics) }
    func reset() { watch.called(\.metrics) }
    func record(_ value: Int64) { watch.called(\.metrics) }
    func record(_ value: Double) { watch.called(\.metrics) }
    func recordNanoseconds(_ duration: Int64) { watch.called(\.metrics) }
}
