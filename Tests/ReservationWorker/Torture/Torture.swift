import Foundation
import Reservations
import ReservationsPostgreSQL
import Synchronization
import TestSupport

/// Several processes on one PostgreSQL and one Redis; processes are killed and stopped, servers restarted, Redis without its
/// memory. Afterwards: nothing oversold, nothing lost, nothing twice, no deadlock, and stale holders refused by the rows.
struct Torture {
    private let seconds: Int
    private let workers: Int
    private let book = TortureBook()

    private static let strategies = ["locked", "locked", "fallback", "atomic", "pessimistic", "optimistic"]
    /// Few, so that all want the same. Of the first two there is too little for everybody.
    private static let capacities = [200, 500, 1_000_000, 1_000_000, 1_000_000]

    init(_ arguments: ArraySlice<String>) throws {
        let options = try Options(arguments)
        seconds = try options.number("seconds", 60)
        workers = try options.number("workers", Self.strategies.count)
    }

    /// Returns whether all is well.
    func run() async throws -> Bool {
        var options = PostgreSQLTestCluster.Options()
        options.isDurable = true
        return try await PostgreSQLTestCluster.with(options) { cluster in
            try await RedisTestServer.with { redis in
                let store = try PostgreSQLReservationStore(url: cluster.url)
                try await store.migrate()
                for (item, capacity) in Self.capacities.enumerated() {
                    let change = StockChange(bucket: .counted("item \(item)"), delta: capacity, actor: "stock")
                    _ = try await store.restock(change)
                }
                let slots = (0..<workers).map {
                    Slot(
                        number: $0, strategy: Self.strategies[$0 % Self.strategies.count],
                        arguments: [
                            "--store", cluster.url, "--redis", redis.url, "--items", "\(Self.capacities.count)",
                        ],
                        book: book)
                }
                try await withThrowingTaskGroup(of: Void.self) { group in
                    for slot in slots { group.addTask { try await slot.run() } }
                    try await torment(slots, cluster, redis)
                    for slot in slots { slot.end() }
                    try await group.waitForAll()
                }
                book.note(deadlocks: Self.deadlocks(in: cluster.log))
                let verdict = try await TortureVerdict.of(store, book.all, items: Self.capacities.count)
                await store.close()
                return report(verdict)
            }
        }
    }

    // MARK: Torment

    private func torment(_ slots: [Slot], _ cluster: PostgreSQLTestCluster, _ redis: RedisTestServer) async throws {
        let deadline = ContinuousClock.now + .seconds(seconds)
        let lockers = slots.filter(\.isLocked)
        // Each of them early on, then as it comes.
        var plan = ["stop", "kill", "redis", "stop", "postgres", "stop", "kill"]
        // A stop has to hit a moment between two statements of another process: on a slow machine that may take longer.
        while ContinuousClock.now < deadline || (book.all.stale == 0 && ContinuousClock.now < deadline + .seconds(60)) {
            let deed =
                plan.isEmpty
                ? ["stop", "stop", "stop", "kill", "kill", "redis", "postgres"].randomElement() : plan.removeFirst()
            switch deed {
            case "stop": if let slot = lockers.randomElement() { await slot.stopInside() }
            case "kill": slots.randomElement()?.kill()
            case "redis": try await Self.onThread { try redis.restart() }
            default:
                book.note(deadlocks: Self.deadlocks(in: cluster.log))
                let isGentle = Bool.random()
                try await Self.onThread {
                    if isGentle { try cluster.terminate() }
                    try cluster.restart()
                }
            }
            book.note(deed: deed ?? "nothing")
            try await Task.sleep(for: .milliseconds(.random(in: 50...350)))  // sleep: the pace of the torment
        }
    }

    private static func onThread(_ body: @escaping @Sendable () throws -> Void) async throws {
        try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Void, any Error>) in
            Thread.detachNewThread { continuation.resume(with: Result(catching: body)) }
        }
    }

    private static func deadlocks(in log: String) -> Int {
        log.components(separatedBy: "deadlock detected").count - 1
    }

    // MARK: Report

    private func report(_ verdict: TortureVerdict) -> Bool {
        let book = book.all
        let list = { (counts: [String: Int]) in
            counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)" }.joined(separator: ", ")
        }
        say("seconds \(seconds), processes \(workers), deeds: \(list(book.deeds))")
        say(
            "purchases \(book.asked.count), held \(book.held.count), ended \(book.ended.count), sold units \(verdict.sold), ledger \(verdict.entries)"
        )
        say("refused: \(list(book.refused))")
        say("repeated: \(list(book.retries))")
        let bad =
            verdict.lost + verdict.duplicates + verdict.oversold + verdict.findings + verdict.fencesBroken + book.broken
        for sentence in bad.prefix(20) { say("BAD \(sentence)") }
        say(
            "oversell \(verdict.oversold.count), lost \(verdict.lost.count), duplicates \(verdict.duplicates.count), "
                + "deadlocks \(book.deadlocks), audit findings \(verdict.findings.count), "
                + "writes past a greater token \(verdict.fencesBroken.count), stale fences refused \(book.stale)")
        let isWell =
            verdict.isClean && book.broken.isEmpty && book.deadlocks == 0 && book.stale > 0 && !book.held.isEmpty
        say(isWell ? "ok" : "FAILED")
        return isWell
    }
}

/// A place for a process: when it was killed, another takes over, and asks again for those that were not answered.
final class Slot: Sendable {
    private struct State {
        var worker: WorkerProcess?
        var isEnding = false
        var unanswered: String?
        var insideWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let number: Int
    private let strategy: String
    private let arguments: [String]
    private let book: TortureBook
    private let state = Mutex(State())

    init(number: Int, strategy: String, arguments: [String], book: TortureBook) {
        self.number = number
        self.strategy = strategy
        self.arguments = arguments
        self.book = book
    }

    var isLocked: Bool { strategy == "locked" || strategy == "fallback" }

    func run() async throws {
        var round = 0
        while !state.withLock({ $0.isEnding }) {
            var all = ["torture-buyer", "--name", "\(strategy)\(number).\(round)", "--strategy", strategy] + arguments
            if let again = state.withLock({ $0.unanswered }) { all += ["--again", again] }
            let worker = try WorkerProcess(all)
            state.withLock { $0.worker = worker }
            if state.withLock({ $0.isEnding }) { worker.say("end") }
            for await line in worker.lines { hear(line) }
            wakeWaiters()
            round += 1
        }
    }

    private func hear(_ line: String) {
        book.hear(line)
        if line == "inside" { wakeWaiters() }
        let words = line.split(separator: " ").map(String.init)
        // Of two at a time, the one that was begun last: the other stays as it is.
        if words.first == "asking", words.count == 2 { state.withLock { $0.unanswered = words[1] } }
    }

    private func wakeWaiters() {
        let waiters = state.withLock { state in
            defer { state.insideWaiters = [] }
            return state.insideWaiters
        }
        for waiter in waiters { waiter.resume() }
    }

    func kill() {
        state.withLock { $0.worker }?.signal(SIGKILL)
    }

    /// Stops the process when it has a lock and is about to write, for longer than the lock lives.
    func stopInside() async {
        let limit = Task {
            try? await Task.sleep(for: .seconds(2))  // sleep: as long as a locker may have no lock to wait in
            if !Task.isCancelled { wakeWaiters() }
        }
        await withCheckedContinuation { continuation in
            state.withLock { $0.insideWaiters.append(continuation) }
        }
        limit.cancel()
        let worker = state.withLock { $0.worker }
        worker?.signal(SIGSTOP)
        try? await Task.sleep(for: TortureTimes.pause)  // sleep: a process that stands still, for longer than its lease
        worker?.signal(SIGCONT)
    }

    func end() {
        let worker = state.withLock { state in
            state.isEnding = true
            return state.worker
        }
        worker?.say("end")
    }
}
