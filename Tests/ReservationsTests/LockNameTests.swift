import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import Synchronization
import Testing

@Suite("What a distributed lock can be asked for", .timeLimit(.minutes(1)))
struct LockNameTests {
    private func stocked(_ buckets: [Bucket]) async throws -> ScriptedStore {
        let store = ScriptedStore { _, _, _ in nil }
        for bucket in buckets { _ = try await store.restock(StockChange(bucket: bucket, delta: 9, actor: "stock")) }
        return store
    }

    @Test(
        "A cart with more buckets than locks may be taken at once is refused, and as many are served",
        arguments: [Strategy.LockOptions.Unavailability.failClosed, .fallback])
    func manyBuckets(policy: Strategy.LockOptions.Unavailability) async throws {
        let buckets = (10...26).map { Bucket.counted("item \($0)") }
        try await LockTestBed.with { bed in
            let store = try await stocked(buckets)
            var options = Strategy.LockOptions()
            options.whenUnavailable = policy
            let service = try ReservationService(
                store: store, configuration: .with(.locked(bed.locks, options: options)))
            let error = await #expect(throws: ReservationError.self) {
                try await service.reserve(buckets.map { Line($0) }, for: "ann")
            }
            #expect(error?.pointers == ["/lines"])
            #expect(error?.message.contains("16 at most") == true)
            #expect(error?.sentence(in: .korean).contains("최대 16가지") == true)
            #expect(store.asked.value == 0)
            let held = try await service.reserve(buckets.dropLast().map { Line($0) }, for: "ann")
            #expect(held.lines.count == 16)
        }
    }

    @Test("What Redis locks refuse is told, and not worked around by the fallback")
    func misconfigured() async throws {
        try await LockTestBed.with { bed in
            let store = try await stocked([.counted("shirt")])
            var options = Strategy.LockOptions()
            options.prefix = "{"
            options.whenUnavailable = .fallback
            let result = await Strategy.locked(bed.locks, options: options).implementation.claim(
                shirtClaim(), in: store)
            guard case .failure(let error) = result.outcome else { return #expect(Bool(false), "\(result.outcome)") }
            #expect(error.code == .misconfigured)
            #expect(!result.fellBack)
            #expect(store.asked.value == 0)
        }
    }

    @Test("Two spellings of one letter are two locks")
    func spellings() async throws {
        let names = ["caf\u{E9}", "cafe\u{301}"]
        try await LockTestBed.with { bed in
            let held = Mutex<[Bool]>([])
            let store = ScriptedStore { _, _, _ in
                held.withLock { $0 = names.map { bed.nodes[0].isHeld("rsv:" + $0) } }
                return nil
            }
            for name in names {
                _ = try await store.restock(StockChange(bucket: .counted(name), delta: 9, actor: "stock"))
            }
            let service = try ReservationService(store: store, configuration: .with(.locked(bed.locks)))
            _ = try await service.reserve(names.map { Line(.counted($0)) }, for: "ann")
            #expect(held.withLock { $0 } == [true, true])
        }
    }

    @Test(
        "No bucket has the name of a fencing counter",
        arguments: [
            Bucket.counted("shirt:fence"), .counted(":fence"), .seat("hall", "A1:fence"), .seat("hall:fence", "A1"),
            // To Swift's strings the first scalar and the colon are one character.
            .counted("shirt\u{600}:fence"), .counted("redis-locks:boot"), .night("room:fence", "2026-12-24"),
        ])
    func fenceNames(bucket: Bucket) async throws {
        let service = try ReservationService(store: InMemoryReservationStore())
        let restock = await #expect(throws: ReservationError.self) {
            try await service.restock(bucket, by: 1, actor: "stock")
        }
        #expect(restock?.pointers == ["/bucket"])
        let reserve = await #expect(throws: ReservationError.self) {
            try await service.reserve([Line(bucket)], for: "ann")
        }
        #expect(reserve?.pointers == ["/lines/0/bucket"])
    }

    @Test(
        "Names that only look like it are names", arguments: ["fence", "shirt:fences", "shirt:Fence", ":fence shirt"])
    func otherNames(item: String) async throws {
        try await LockTestBed.with { bed in
            let store = try await stocked([.counted(item)])
            let service = try ReservationService(store: store, configuration: .with(.locked(bed.locks)))
            #expect(try await service.reserve([Line(.counted(item))], for: "ann").state == .held)
        }
    }
}
