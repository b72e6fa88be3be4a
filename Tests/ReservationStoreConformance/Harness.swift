import RedisLocks
import Reservations
import Synchronization

/// A store under test, and what tests must be able to do behind its back.
package protocol StoreHarness: Sendable {
    var store: any ReservationStore { get }
    /// Moves all times of a reservation back, as though it had been made so much earlier.
    func age(_ id: ReservationID, by duration: Duration) async throws
    /// Throws the store and its data away.
    func finish() async
}

/// What a check found. Thrown and not recorded, so that a test can show that a broken store does not get away with it.
package struct ContractViolation: Error, CustomStringConvertible {
    package let description: String

    package init(_ description: String) {
        self.description = description
    }
}

package func check(_ condition: Bool, _ otherwise: @autoclosure () -> String, line: Int = #line, file: String = #fileID)
    throws(ContractViolation)
{
    if !condition { throw ContractViolation("\(otherwise()) (\(file):\(line))") }
}

package func same<Value: Equatable>(
    _ found: Value, _ expected: Value, _ what: String, line: Int = #line, file: String = #fileID
) throws(ContractViolation) {
    try check(found == expected, "\(what): \(found), not \(expected)", line: line, file: file)
}

/// One thing that every store must do.
package struct ConformanceCheck: Sendable, CustomStringConvertible {
    package let name: String
    private let body: @Sendable (Rig) async throws -> Void
    private let leavesStoreOpen: Bool

    package init(
        _ name: String, leavesStoreOpen: Bool = true, _ body: @escaping @Sendable (Rig) async throws -> Void
    ) {
        self.name = name
        self.leavesStoreOpen = leavesStoreOpen
        self.body = body
    }

    package var description: String { name }

    /// Runs it, and audits the store afterwards. Whatever a check does not expect is a violation.
    package func run(_ rig: Rig) async throws {
        do {
            try await body(rig)
            if leavesStoreOpen { try await rig.expectCleanAudit() }
        } catch let error as StoreError {
            throw ContractViolation("\(name): the store failed, \(error.code): \(error)")
        } catch let error as ReservationError {
            throw ContractViolation("\(name): a request was refused, \(error.code): \(error)")
        }
    }
}

/// A store with what a check needs to use it.
package struct Rig: Sendable {
    package let harness: any StoreHarness
    /// For checks of the service.
    package var strategy: Strategy = .atomic
    /// For checks of strategies with a distributed lock: the client that ``strategy`` uses.
    package var locks: RedisLocks?
    /// Ends the lease of whoever holds this lock now, and comes back when the client knows.
    package var loseLease: (@Sendable (String) async throws -> Void)?
    /// How long a check waits for what must come: generous for stores that should pass, short for those that should not.
    package var patience: Duration = .seconds(60)
    /// For ``StoreConformance/histories``: which one.
    package var seed: UInt64 = 1

    package init(
        _ harness: any StoreHarness, strategy: Strategy = .atomic, locks: RedisLocks? = nil,
        loseLease: (@Sendable (String) async throws -> Void)? = nil
    ) {
        self.harness = harness
        self.strategy = strategy
        self.locks = locks
        self.loseLease = loseLease
    }

    package var store: any ReservationStore { harness.store }

    /// A service over the store, or over one that stands before it.
    func service(
        over store: (any ReservationStore)? = nil, strategy: Strategy? = nil,
        _ change: (inout ReservationService.Configuration) -> Void = { _ in }
    ) throws -> ReservationService {
        var configuration = ReservationService.Configuration()
        configuration.strategy = strategy ?? self.strategy
        configuration.limits.liveHoldsPerHolder = nil
        change(&configuration)
        return try ReservationService(store: store ?? self.store, configuration: configuration)
    }

    @discardableResult
    func stock(_ bucket: Bucket, _ quantity: Int) async throws -> Bucket {
        let change = StockChange(
            bucket: bucket, delta: quantity, actor: "stock",
            request: RequestKey(
                caller: "stock", key: ReservationID.make().description, operation: "restock", fingerprint: ""))
        guard case .done = try await store.restock(change) else {
            throw ContractViolation("\(bucket) could not be stocked.")
        }
        return bucket
    }

    func claim(
        _ lines: [Line], by holder: String = "ann", id: ReservationID = .make(), ttl: Duration = .seconds(600),
        total: Duration = .seconds(3_600), limit: Int? = nil, key: RequestKey? = nil
    ) -> Claim {
        Claim(
            id: id, holder: holder, cart: Cart(trusted: lines), ttl: ttl, totalHold: total, maximumLiveHolds: limit,
            request: key)
    }

    /// Claims at once, by one conditional update.
    @discardableResult
    func hold(_ lines: [Line], by holder: String = "ann", ttl: Duration = .seconds(600)) async throws -> Reservation {
        let outcome = try await store.claim(claim(lines, by: holder, ttl: ttl), by: .atomic)
        guard case .held(let reservation) = outcome else {
            throw ContractViolation("A plain claim came to \(outcome).")
        }
        return reservation
    }

    func resolve(
        _ kind: Resolution.Kind, _ id: ReservationID, by holder: String? = "ann", replacement: ReservationID? = nil,
        key: RequestKey? = nil
    ) async throws -> ResolutionOutcome {
        try await store.resolve(
            Resolution(
                id: id, holder: holder, kind: kind, replacement: replacement, actor: holder ?? "operator", request: key)
        )
    }

    func state(of bucket: Bucket) async throws -> BucketState {
        guard let state = try await store.states(of: [bucket]).first else {
            throw ContractViolation("\(bucket) is not there.")
        }
        return state
    }

    /// Compares held and sold.
    func expect(_ bucket: Bucket, held: Int, sold: Int = 0, line: Int = #line) async throws {
        let state = try await state(of: bucket)
        try same([state.held, state.sold], [held, sold], "Held and sold of \(bucket)", line: line)
    }

    package func expectCleanAudit() async throws {
        let report = try await store.audit(grace: .seconds(86_400))
        try check(report.isClean, "The audit found: " + report.findings.map(\.detail).joined(separator: " "))
    }
}

/// Runs many at once and collects what they come to.
func together<Result: Sendable>(
    _ count: Int, _ body: @escaping @Sendable (Int) async throws -> Result
) async throws -> [Result] {
    try await withThrowingTaskGroup(of: Result.self) { group in
        for index in 0..<count { group.addTask { try await body(index) } }
        return try await group.reduce(into: []) { $0.append($1) }
    }
}

/// Opened once; until then, whoever comes waits. Not cancellable: what waits here stands still, as a process does.
package final class Gate: Sendable {
    private struct State {
        var isOpen = false
        var waiting: [CheckedContinuation<Void, Never>] = []
    }

    private let state = Mutex(State())

    package init() {}

    package func wait() async {
        await withCheckedContinuation { continuation in
            let isOpen = state.withLock { state in
                if !state.isOpen { state.waiting.append(continuation) }
                return state.isOpen
            }
            if isOpen { continuation.resume() }
        }
    }

    package func open() {
        let waiting = state.withLock { state in
            state.isOpen = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }
}

/// Counts.
package final class Tally: Sendable {
    private let count = Mutex(0)

    package init() {}

    package var value: Int { count.withLock { $0 } }

    @discardableResult
    package func add(_ number: Int = 1) -> Int {
        count.withLock { count in
            count += number
            return count
        }
    }
}
