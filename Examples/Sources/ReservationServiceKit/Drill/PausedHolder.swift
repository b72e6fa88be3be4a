import Foundation
import Logging
import RedisLocks
import RedislockKit
import Reservations

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// A process that stops in the worst moment: it holds the lock, has its token, and is about to write.
///
/// It is a process of its own because a paused task proves little: here nothing runs that could renew the lease or notice that
/// it is over. Who started it lets it go on when somebody else has written with a greater token; the row then refuses what it
/// wrote late, and the strategy does the work again with a new token.
package struct PausedHolder: Sendable {
    package let store: String
    package let nodes: NodeSet
    package let item: String
    package static let leaseTime: Duration = .seconds(1)

    package init(store: String, nodes: NodeSet, item: String) {
        self.store = store
        self.nodes = nodes
        self.item = item
    }

    package func run() async throws {
        let tally = Tally()
        let store = PausingStore(WatchedStore(try await StoreChoice.open(store), tally: tally))
        var configuration = nodes.configuration()
        configuration.clientName = "paused-holder"
        try await RedisLocks.with(nodes.lockNodes, configuration: configuration) { locks in
            var options = Strategy.LockOptions()
            options.ttl = Self.leaseTime
            var settings = ReservationService.Configuration()
            settings.strategy = .locked(locks, options: options)
            let service = try ReservationService(store: store, configuration: settings)
            let notes = RequestNotes()
            let holder = "drill-\(UUID().uuidString)"
            let held = try await RequestNotes.$current.withValue(notes) {
                try await service.reserve([Line(.counted(item))], for: holder)
            }
            _ = try await service.cancel(held.id, for: holder)
            Console.print("HELD \(notes.values.fencingToken ?? 0) \(tally.counts(of: item).staleFences)")
        }
        await store.store.close()
    }
}

/// Stops the whole process before its first claim is written.
private final class PausingStore: ReservationStore, Sendable {
    let store: WatchedStore
    private let hasPaused = Once()

    init(_ store: WatchedStore) { self.store = store }

    var settlingTime: Duration { store.settlingTime }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        if case .fenced(let token) = rule, hasPaused.isFirst() {
            Console.print("PAUSED \(token)")
            raise(SIGSTOP)
        }
        // A task of its own: the client notices the loss of the lease and cancels. This holder is one that goes on regardless.
        let store = store
        let notes = RequestNotes.current
        let result = await Task {
            await RequestNotes.$current.withValue(notes) { () async -> Result<ClaimOutcome, StoreError> in
                do throws(StoreError) {
                    return .success(try await store.claim(claim, by: rule))
                } catch {
                    return .failure(error)
                }
            }
        }.value
        return try result.get()
    }

    func migrate() async throws(StoreError) { try await store.migrate() }

    func restock(_ change: StockChange) async throws(StoreError) -> StockOutcome { try await store.restock(change) }

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try await store.resolve(resolution)
    }

    func extend(_ change: HoldExtension) async throws(StoreError) -> ResolutionOutcome {
        try await store.extend(change)
    }

    func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        try await store.expire(buckets, limit: limit)
    }

    func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation? {
        try await store.reservation(id, holder: holder)
    }

    func states(of buckets: [Bucket]) async throws(StoreError) -> [BucketState] {
        try await store.states(of: buckets)
    }

    func neighbours(of bucket: Bucket, limit: Int) async throws(StoreError) -> [BucketState] {
        try await store.neighbours(of: bucket, limit: limit)
    }

    func states(ofItem item: String, after last: Bucket?, limit: Int) async throws(StoreError) -> [BucketState] {
        try await store.states(ofItem: item, after: last, limit: limit)
    }

    func ledger(ofItem item: String?, after sequence: Int64, limit: Int) async throws(StoreError) -> [LedgerEntry] {
        try await store.ledger(ofItem: item, after: sequence, limit: limit)
    }

    func audit(grace: Duration) async throws(StoreError) -> AuditReport { try await store.audit(grace: grace) }

    func forgetRequests(olderThan age: Duration, limit: Int) async throws(StoreError) -> Int {
        try await store.forgetRequests(olderThan: age, limit: limit)
    }

    func close() async { await store.close() }
}
