import RedisLocks
import RedisLocksTesting
import ReservationStoreConformance
import Reservations
import Synchronization
import Testing

@Suite("Fences of one's own", .timeLimit(.minutes(1)))
struct FenceTests {
    @Test(
        "A fence admits tokens that do not fall",
        arguments: [
            ([1, 2, 3], [true, true, true]), ([5, 5, 5], [true, true, true]),
            ([5, 4, 5, 6, 5], [true, false, true, true, false]),
            ([0], [true]), ([-1], [false]), ([.max, 1], [true, false]),
        ] as [([Int64], [Bool])])
    func rule(tokens: [Int64], admitted: [Bool]) {
        var fence = Fence()
        for (token, isAdmitted) in zip(tokens, admitted) {
            let before = fence.seen
            do throws(StaleFence) {
                try fence.admit(token)
                #expect(isAdmitted)
                #expect(fence.seen == token)
            } catch {
                #expect(!isAdmitted)
                #expect(error == StaleFence(token: token, seen: before))
                #expect(fence.seen == before, "a refused token leaves no mark")
            }
        }
    }

    /// A row of one's own table.
    private final class Row: Sendable {
        private let fields = Mutex((value: 0, fence: Fence()))

        func add(_ number: Int, under token: Int64) throws(StaleFence) {
            try fields.withLock { fields throws(StaleFence) in
                try fields.fence.admit(token)
                fields.value += number
            }
        }

        var value: Int { fields.withLock { $0.value } }
    }

    @Test("A holder that was paused past its lease is refused by the row and does its work again")
    func pausedHolder() async throws {
        let bed = try LockTestBed()
        let row = Row()
        let (arrived, resume) = (Gate(), Gate())
        let runs = Tally()
        let paused = Task {
            try await bed.locks.withFence("row") { token in
                if runs.add() == 1 {
                    arrived.open()
                    await resume.wait()
                }
                try row.add(1, under: token)
            }
        }
        await arrived.wait()
        await bed.loseLease("row", as: .expired)
        try await bed.locks.withFence("row") { try row.add(10, under: $0) }
        #expect(row.value == 10)
        resume.open()
        try await paused.value
        #expect(row.value == 11)
        #expect(runs.value == 2, "once refused, once with a new lease")
        await bed.shutdown()
    }

    @Test(
        "A row that has seen more than the lock will ever give is told, after the attempts that are allowed",
        arguments: [1, 3])
    func hopeless(attempts: Int) async throws {
        try await LockTestBed.with { bed in
            let runs = Tally()
            let error = await #expect(throws: StaleFence.self) {
                try await bed.locks.withFence("row", attempts: attempts) { token in
                    runs.add()
                    throw StaleFence(token: token, seen: .max)
                }
            }
            #expect(error?.seen == .max)
            #expect(runs.value == attempts)
        }
    }

    @Test("Other errors of the body are its own")
    func otherErrors() async throws {
        struct Own: Error {}
        try await LockTestBed.with { bed in
            await #expect(throws: Own.self) { try await bed.locks.withFence("row") { _ in throw Own() } }
            #expect(!bed.nodes[0].isHeld("row"))
        }
    }
}
