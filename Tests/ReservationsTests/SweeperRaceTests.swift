import Foundation
import ReservationStoreConformance
import Reservations
import Synchronization
import Testing

/// Where the sweeper is always a moment faster than whoever looks for overdue holds.
private struct SweptMeanwhile: StoreWrapper {
    let inner: any ReservationStore

    func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        _ = try await inner.expire(nil, limit: limit)
        return try await inner.expire(buckets, limit: limit)
    }
}

@Suite("The sweeper and a claim at once", .timeLimit(.minutes(1)))
struct SweeperRaceTests {
    @Test("What the sweeper frees between a claim and its look is had by the claim")
    func sweptBetween() async throws {
        let time = Mutex(Date(timeIntervalSince1970: 1_800_000_000))
        let store = SweptMeanwhile(inner: InMemoryReservationStore(now: { time.withLock { $0 } }))
        let service = try ReservationService(store: store)
        try await service.restock(.seat("concert", "A1"), by: 1, actor: "box office")
        _ = try await service.reserve([Line(.seat("concert", "A1"))], for: "ann", ttl: .seconds(60))
        time.withLock { $0 += 61 }
        let held = try await service.reserve([Line(.seat("concert", "A1"))], for: "ben")
        #expect(held.state == .held)
    }
}
