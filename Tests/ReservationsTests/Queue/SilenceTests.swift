import ReservationStoreConformance
import Reservations
import Synchronization
import TestSupport
import Testing

/// Who is skipped because he was silent, and who was only not heard. The line's clock is the test's; its lease lasts longer than any of them.
@Suite("Silence in a waiting line", .timeLimit(.minutes(2)))
struct SilenceTests {
    /// A queue that says who is silent.
    private struct Hearing: QueueWrapper {
        let inner: InMemoryReservationQueue
        let silent: Set<String>

        func silent(
            among entries: [QueueEntry], of partition: Int, for silence: Duration
        ) async throws(QueueError) -> Set<RequestName> {
            Set(entries.map(\.request).filter { silent.contains($0.caller) })
        }
    }

    /// A line's clock in the hand of a test.
    private final class Hand: Sendable {
        private let time = Mutex(ContinuousClock.now)

        var now: ContinuousClock.Instant { time.withLock { $0 } }

        /// The process stands still for so long: nobody notes anything meanwhile.
        func pause(_ duration: Duration) {
            time.withLock { $0 += duration }
        }

        /// So much time passes while the line is there.
        func pass(_ duration: Duration, _ line: WaitingLine) {
            var left = duration
            while left > .zero {
                pause(min(left, .seconds(1)))
                line.presentSince()
                left -= .seconds(1)
            }
        }
    }

    private static func with(
        _ body: @escaping @Sendable (QueueRig, Hand) async throws -> Void
    ) async throws {
        let hand = Hand()
        let queue = Hearing(inner: InMemoryReservationQueue(), silent: ["silent"])
        try await withQueueRig(
            queue: queue, now: { hand.now }, { ($0.silence, $0.ownerTTL) = (.seconds(60), .seconds(60)) }
        ) { rig, _ in
            try await rig.store.stock(.counted("shirt"), 9)
            // The line is owned, and its owner listens.
            #expect(try await rig.outcome(of: "first") == "held")
            try await body(rig, hand)
        }
    }

    @Test("Who is silent when his turn comes is skipped, and may come again; who waits is not")
    func skipped() async throws {
        try await Self.with { rig, hand in
            hand.pass(.seconds(61), rig.line)
            #expect(try await rig.outcome(of: "silent") == "turn-missed")
            #expect(try await rig.outcome(of: "present") == "held")
            let name = RequestName(caller: "silent", key: "k")
            #expect(try await rig.store.requests([name]).first??.state == .skipped)
            guard case .queued = try await rig.service.submit([Line(.counted("shirt"))], for: "silent", key: "k") else {
                return #expect(Bool(false), "Who was skipped cannot come again.")
            }
        }
    }

    @Test("Nobody is skipped before the owner has listened for as long")
    func listens() async throws {
        try await Self.with { rig, hand in
            hand.pass(.seconds(50), rig.line)
            let outcome = try await rig.outcome(of: "silent")
            #expect(outcome == "held")
        }
    }

    @Test("Nobody is skipped because the process stood still, until it has listened again for as long")
    func stoodStill() async throws {
        try await Self.with { rig, hand in
            hand.pass(.seconds(100), rig.line)
            hand.pause(.seconds(40))
            #expect(try await rig.outcome(of: "silent") == "held")
            hand.pass(.seconds(61), rig.line)
            let again = try await rig.submit("silent", key: "again")
            #expect(await again.outcome() == "turn-missed")
        }
    }

    @Test(
        "A server's clock that jumps is seen, whichever way; one that is set right little by little is none that jumps")
    func clock() {
        let start = ContinuousClock.now
        var clock = ServerClock()
        let look = { (clock: inout ServerClock, seconds: Int64, offset: Int64) in
            clock.note(1_000_000 + seconds * 1_000 + offset, at: start + .seconds(seconds), tolerance: .seconds(5))
        }
        #expect(clock.estimate(at: start) == nil)
        look(&clock, 0, 0)
        #expect(clock.estimate(at: start + .seconds(3)) == 1_003_000)
        #expect(clock.estimate(at: start + .seconds(3), within: .seconds(2)) == nil)
        for second in 1...50 { look(&clock, Int64(second) * 10, Int64(second) * 1_000) }
        #expect(clock.isSteady(for: .seconds(60), at: start + .seconds(500)))
        look(&clock, 510, 57_000)
        #expect(!clock.isSteady(for: .seconds(60), at: start + .seconds(570)))
        #expect(clock.isSteady(for: .seconds(60), at: start + .seconds(571)))
        look(&clock, 600, 0)
        #expect(!clock.isSteady(for: .seconds(60), at: start + .seconds(660)))
    }
}
