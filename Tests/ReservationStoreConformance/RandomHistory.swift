import Reservations
import Synchronization

extension StoreConformance {
    package static let histories: [ConformanceCheck] = [
        ConformanceCheck("A random history of many actors, failures and cancellations loses and invents nothing") {
            rig in
            try await RandomHistory(rig).run()
        }
    ]
}

/// SplitMix64 (Steele, Lea, Flood 2014), so that a seed repeats its choices.
struct Dice: RandomNumberGenerator, Sendable {
    private var state: UInt64

    init(seed: UInt64) {
        state = seed
    }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }

    mutating func chance(_ percent: Int) -> Bool {
        Int.random(in: 0..<100, using: &self) < percent
    }
}

/// Several actors do what the seed tells each of them, through a line that breaks. In the end what they were told must be
/// what is there. (The order in which they meet is the scheduler's.)
struct RandomHistory {
    static let actors = 8
    static let steps = 25
    static let buckets: [Bucket] =
        ["a", "b"].map(Bucket.counted) + ["1", "2", "3"].map { .seat("hall", $0) }
        + ["2026-12-24", "2026-12-25"].map { .night("room", $0) }

    let rig: Rig
    let service: ReservationService
    private let line: Line

    /// The line to the store.
    private final class Line: Sendable {
        let isBroken = Mutex(true)
        let dice: Mutex<Dice>

        init(seed: UInt64) {
            dice = Mutex(Dice(seed: seed))
        }

        func next() -> FlakyStore.Break? {
            guard isBroken.withLock({ $0 }) else { return nil }
            return switch dice.withLock({ Int.random(in: 0..<100, using: &$0) }) {
            case 0..<5: .busy
            case 5..<8: .unavailable
            case 8..<16: .answerLost
            default: nil
            }
        }
    }

    init(_ rig: Rig) throws {
        self.rig = rig
        let line = Line(seed: rig.seed)
        self.line = line
        service = try rig.service(over: FlakyStore(rig.store) { line.next() }) { configuration in
            configuration.lateConfirmation = rig.seed % 2 == 0 ? .rehold : .reject
            configuration.limits.liveHoldsPerHolder = rig.seed % 3 == 0 ? 3 : nil
        }
    }

    func run() async throws {
        for bucket in Self.buckets { try await rig.stock(bucket, bucket.kind == .seat ? 1 : 6) }
        let actors = try await together(Self.actors) { index in
            var actor = HistoryActor(
                name: "actor \(index)", service: service, rig: rig, seed: rig.seed &* 1_000 + UInt64(index))
            for _ in 0..<Self.steps { try await actor.step() }
            return actor
        }
        line.isBroken.withLock { $0 = false }
        var known: [ReservationID: Reservation] = [:]
        for var actor in actors {
            try await actor.settle()
            for id in actor.told.keys { known[id] = try await actor.verify(id) }
        }
        _ = try await service.sweep()
        try await compare(known)
    }

    /// What is there, against what was told.
    private func compare(_ known: [ReservationID: Reservation]) async throws {
        var entries: [LedgerEntry] = []
        while case let page = try await rig.store.ledger(ofItem: nil, after: entries.last?.sequence ?? 0, limit: 500),
            !page.isEmpty
        {
            entries += page
        }
        let made = Set(entries.filter { $0.kind == .hold }.compactMap(\.reservation))
        try same(made.subtracting(known.keys), [], "Reservations that nobody was told of")
        try same(Set(known.keys).subtracting(made), [], "Reservations that are gone")
        for bucket in Self.buckets {
            let sum = { (state: Reservation.State) in
                known.values.filter { $0.state == state }.flatMap(\.lines).filter { $0.bucket == bucket }
                    .reduce(0) { $0 + $1.quantity }
            }
            try await rig.expect(bucket, held: sum(.held), sold: sum(.confirmed))
        }
    }
}
