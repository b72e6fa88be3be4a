import Foundation
import Reservations
import ReservationsPostgreSQL
import ReservationsSQLite
import Synchronization
import TestSupport

/// Several processes on one store and one Redis; processes are killed and stopped, servers restarted, Redis without its
/// memory. Afterwards: nothing oversold, nothing lost, nothing twice, no deadlock, and stale holders refused by the rows.
struct Torture {
    enum StoreKind: String, CaseIterable {
        case postgresql, sqlite
    }

    /// What is broken on purpose, and must be found.
    enum Mutant: String {
        /// The rows do not look at the token, nor does a line.
        case fence
        /// A line decides on a request, and now and then once more.
        case twice
        /// The store fails now and then.
        case failing
        /// The store does not find what it has, now and then.
        case forgetful
    }

    private let kind: StoreKind
    private let mutant: Mutant?
    private let seconds: Int
    private let workers: Int
    /// All wait in lines, but one.
    private let isLine: Bool
    private let book = TortureBook()

    private static let lineStrategies = ["queued", "queued", "queued", "atomic"]
    private static let strategies = ["locked", "locked", "fallback", "atomic", "pessimistic", "optimistic"]
    /// Few, so that all want the same. Of the first two there is too little for everybody.
    private static let capacities = [200, 500, 1_000_000, 1_000_000, 1_000_000]

    private init(_ kind: StoreKind, _ options: Options) throws {
        self.kind = kind
        seconds = try options.number("seconds", 60)
        isLine = options["line"] != nil
        workers = try options.number("workers", isLine ? Self.lineStrategies.count : Self.strategies.count)
        mutant = try options["mutant"].map { name in
            guard let mutant = Mutant(rawValue: name) else { throw UsageError(description: "--mutant \(name)") }
            return mutant
        }
    }

    /// Each store, or the one that is named. Returns whether all is well.
    static func run(_ arguments: ArraySlice<String>) async throws -> Bool {
        let options = try Options(arguments)
        let kinds = options["store"].map { name in StoreKind.allCases.filter { $0.rawValue == name } }
        guard kinds != [] else { throw UsageError(description: "--store \(options["store"] ?? "")") }
        var isWell = true
        for kind in kinds ?? StoreKind.allCases {
            let torture = try Torture(kind, options)
            say("\(kind.rawValue):")
            isWell = try await torture.run() && isWell
        }
        say(isWell ? "ok" : "FAILED")
        return isWell
    }

    private func run() async throws -> Bool {
        var redisOptions = RedisTestServer.Options()
        redisOptions.isPersistent = isLine
        return try await RedisTestServer.with(redisOptions) { redis in
            switch kind {
            case .postgresql:
                var options = PostgreSQLTestCluster.Options()
                options.isDurable = true
                return try await PostgreSQLTestCluster.with(options) { cluster in
                    let store = try PostgreSQLReservationStore(url: cluster.url)
                    try await store.migrate()
                    if mutant == .fence {
                        try await FenceMutant.apply(to: store)
                        try await FenceMutant.applyToLine(of: store)
                    }
                    return try await run(store, at: cluster.url, cluster, redis)
                }
            case .sqlite:
                return try await withTemporaryDirectory { folder in
                    let path = "\(folder)/torture.db"
                    let store = try await SQLiteReservationStore.open(path)
                    try await store.migrate()
                    return try await run(store, at: path, nil, redis)
                }
            }
        }
    }

    private func run(
        _ store: any ReservationStore, at place: String, _ cluster: PostgreSQLTestCluster?, _ redis: RedisTestServer
    ) async throws -> Bool {
        for (item, capacity) in Self.capacities.enumerated() {
            let change = StockChange(bucket: .counted("item \(item)"), delta: capacity, actor: "stock")
            _ = try await store.restock(change)
        }
        var arguments = ["--store", place, "--redis", redis.url, "--items", "\(Self.capacities.count)"]
        if let mutant { arguments += ["--mutant", mutant.rawValue] }
        let strategies = isLine ? Self.lineStrategies : Self.strategies
        let slots = (0..<workers).map {
            Slot(
                number: $0, strategy: strategies[$0 % strategies.count], arguments: arguments, book: book)
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for slot in slots { group.addTask { try await slot.run() } }
            try await torment(slots, store, cluster, redis)
            for slot in slots { slot.end() }
            try await group.waitForAll()
        }
        if let cluster { book.note(deadlocks: Self.deadlocks(in: cluster.log)) }
        if isLine { try await drain(store, at: place, redis) }
        let verdict = try await TortureVerdict.of(store, book.all, items: Self.capacities.count)
        await store.close()
        return report(verdict)
    }

    /// Whoever waits still, for his process was killed, is served by the next one.
    private func drain(_ store: any ReservationStore, at place: String, _ redis: RedisTestServer) async throws {
        guard let store = store as? any QueueingReservationStore else { return }
        let process = try await LineProcess(store: place, redis: redis.url)
        try await process.running {
            for partition in 0..<LineProcess.partitions {
                try await waitUntil("all in line \(partition) are served") {
                    try await store.waiting(in: partition, after: 0, through: .max, longerThan: .zero, limit: 1).isEmpty
                }
            }
        }
        await process.locks.shutdown()
    }

    // MARK: Torment

    private func torment(
        _ slots: [Slot], _ store: any ReservationStore, _ cluster: PostgreSQLTestCluster?, _ redis: RedisTestServer
    ) async throws {
        let start = ContinuousClock.now
        let lockers = slots.filter(\.isLocked)
        // Each of them early on, then as it comes.
        var plan = ["stop", "kill", "redis", "stop", "database", "stop", "kill"]
        // A missing fence shows itself to holders who were stopped.
        let deeds = mutant == .fence ? ["stop"] : ["stop", "stop", "stop", "kill", "kill", "redis", "database"]
        if mutant == .fence { plan = [] }
        while try await isToGoOn(since: start, store) {
            let deed = plan.isEmpty ? deeds.randomElement() : plan.removeFirst()
            switch (deed, cluster) {
            case ("stop", _): if let slot = lockers.randomElement() { await slot.stopInside() }
            case ("redis", _):
                let isEmptied = Bool.random()
                try await Self.onThread { isEmptied ? try redis.restartEmpty() : try redis.restart() }
            case ("database", let cluster?):
                book.note(deadlocks: Self.deadlocks(in: cluster.log))
                let isGentle = Bool.random()
                try await Self.onThread {
                    if isGentle { try cluster.terminate() }
                    try cluster.restart()
                }
            // A file has no server but the processes that use it: one of them stands still, perhaps while it writes.
            case ("database", nil): await slots.randomElement()?.stop()
            default: slots.randomElement()?.kill()
            }
            book.note(deed: deed ?? "nothing")
            try await Task.sleep(for: .milliseconds(.random(in: 50...350)))  // sleep: the pace of the torment
        }
    }

    /// A stop has to hit a moment between two statements of another process: on a slow machine that may take longer than was
    /// asked for.
    private func isToGoOn(since start: ContinuousClock.Instant, _ store: any ReservationStore) async throws -> Bool {
        let elapsed = ContinuousClock.now - start
        guard elapsed > .seconds(seconds) else { return true }
        guard elapsed < .seconds(seconds + (mutant == nil ? 60 : 180)) else { return false }
        switch mutant {
        case nil: return book.all.stale == 0
        // One may be a report that is still on its way.
        case .fence where isLine: return book.all.linesBroken.count < 2
        case .fence: return try await TortureVerdict.of(store, TortureBook.Contents(), items: 0).fencesBroken.isEmpty
        case .twice: return try await TortureVerdict.of(store, TortureBook.Contents(), items: 0).duplicates.isEmpty
        case .failing, .forgetful: return book.all.broken.isEmpty
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
            + book.linesBroken
        for sentence in bad.prefix(20) { say("BAD \(sentence)") }
        say(
            "oversell \(verdict.oversold.count), lost \(verdict.lost.count), duplicates \(verdict.duplicates.count), "
                + "deadlocks \(book.deadlocks), audit findings \(verdict.findings.count), "
                + "writes past a greater token \(verdict.fencesBroken.count), stale fences refused \(book.stale)")
        let isWell =
            verdict.isClean && book.broken.isEmpty && book.linesBroken.isEmpty && book.deadlocks == 0 && book.stale > 0
            && !book.held.isEmpty
        return isWell
    }
}
