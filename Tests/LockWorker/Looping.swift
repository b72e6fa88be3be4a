import Metrics
import RedisLocks
import RedisLocksTesting
import Synchronization
import TestSupport

/// Increments a counter under the lock, again and again: reads it, adds one, writes it.
///
/// Without a check in the store, exclusion alone keeps updates from getting lost; then the lease is looked at before the
/// write. With the check, nothing is looked at: the store is what refuses the late.
struct Looping {
    private let client: Client
    private let store: CounterStore
    private let isFenced: Bool
    private let duration: Duration
    private let stats: LineFile

    init(_ arguments: Arguments) throws {
        client = try Client(arguments)
        isFenced = arguments.isSet("fenced")
        store = try CounterStore(arguments.string("store"), isFenced: isFenced)
        duration = .seconds(try arguments.number("seconds"))
        stats = try LineFile(arguments.string("stats"))
    }

    func run() async throws {
        let metrics = CountingMetrics()
        MetricsSystem.bootstrap(metrics)
        let end = ContinuousClock.now + duration
        var tally = Tally()
        try await RedisLocks.with(client.nodes, configuration: client.configuration) { locks in
            while ContinuousClock.now < end { try await attempt(locks, &tally) }
        }
        await store.close()
        tally.confirmRounds = metrics.value("redis_locks_confirm_rounds_total")
        stats.append(tally.line)
    }

    private func attempt(_ locks: RedisLocks, _ tally: inout Tally) async throws {
        let began = client.recorder.clock.now
        tally.operations += 1
        do {
            let isWritten = try await client.recorder.withLease(client: client.name, names: client.names) {
                try await locks.acquire(client.names, wait: client.wait)
            } body: { lease, operation in
                try await increment(lease, operation)
            }
            tally.grants += 1
            if isWritten == true { tally.written += 1 } else { tally.refused += 1 }
            stats.append("granted \(began) \(client.recorder.clock.now)")
        } catch let error as LockError {
            stats.append("failed \(began) \(client.recorder.clock.now) \(error.code)")
            if case .some = error.code.leaseLossReason { tally.grants += 1 }
        }
    }

    /// Returns whether the store took it.
    private func increment(_ lease: Lease, _ operation: Int) async throws -> Bool {
        if isFenced {
            guard try await store.perform("claim", by: client, under: lease, operation).isAccepted else { return false }
        }
        let read = try await store.perform("read", by: client, under: lease, operation)
        guard read.isAccepted else { return false }
        if !isFenced { try lease.checkValid() }
        // Long enough that a process which is stopped is likely to be stopped here.
        if isFenced { try await Task.sleep(for: .milliseconds(10)) }  // sleep: the work that a lock protects
        let value = read.value + 1
        return try await store.perform("write", value: value, by: client, under: lease, operation).isAccepted
    }
}

/// What a worker has done.
struct Tally {
    var operations = 0
    var grants = 0
    var written = 0
    var refused = 0
    var confirmRounds: Int64 = 0

    var line: String { "tally \(operations) \(grants) \(written) \(refused) \(confirmRounds)" }

    init() {}

    init?(line: some StringProtocol) {
        let words = line.split(separator: " ")
        let numbers = words.dropFirst().compactMap { Int($0) }
        guard words.first == "tally", numbers.count == 5 else { return nil }
        (operations, grants, written, refused) = (numbers[0], numbers[1], numbers[2], numbers[3])
        confirmRounds = Int64(numbers[4])
    }

    static func += (left: inout Tally, right: Tally) {
        left.operations += right.operations
        left.grants += right.grants
        left.written += right.written
        left.refused += right.refused
        left.confirmRounds += right.confirmRounds
    }
}

/// Keeps the values of counters, whatever their dimensions, and nothing else.
final class CountingMetrics: MetricsFactory {
    private final class Handler: CounterHandler {
        let value = Mutex<Int64>(0)

        func increment(by amount: Int64) { value.withLock { $0 += amount } }
        func reset() { value.withLock { $0 = 0 } }
    }

    private let handlers = Mutex<[String: Handler]>([:])

    func value(_ label: String) -> Int64 {
        handlers.withLock { $0[label] }.map { handler in handler.value.withLock { $0 } } ?? 0
    }

    func makeCounter(label: String, dimensions: [(String, String)]) -> any CounterHandler {
        handlers.withLock { handlers in
            let handler = handlers[label] ?? Handler()
            handlers[label] = handler
            return handler
        }
    }

    func makeRecorder(label: String, dimensions: [(String, String)], aggregate: Bool) -> any RecorderHandler {
        NOOPMetricsHandler.instance
    }

    func makeTimer(label: String, dimensions: [(String, String)]) -> any TimerHandler { NOOPMetricsHandler.instance }
    func destroyCounter(_ handler: any CounterHandler) {}
    func destroyRecorder(_ handler: any RecorderHandler) {}
    func destroyTimer(_ handler: any TimerHandler) {}
}
