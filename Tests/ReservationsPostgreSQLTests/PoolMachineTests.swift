import Reservations
import Testing

@testable import ReservationsPostgreSQL

/// The pool's decisions, without a server and without a clock that moves by itself.
@Suite("The pool's decisions")
struct PoolMachineTests {
    private var now = ContinuousClock.now
    private var limits = PoolLimits(
        minimum: 0, maximum: 2, maximumWaiters: 2, lifetime: .seconds(100), idleTime: .seconds(10))

    private func machine(_ change: (inout PoolLimits) -> Void = { _ in }) -> PoolMachine {
        var limits = limits
        change(&limits)
        return PoolMachine(limits: limits, generator: Always())
    }

    /// The greatest of everything: the whole back-off, the whole lifetime.
    private struct Always: RandomNumberGenerator, Sendable {
        func next() -> UInt64 { .max }
    }

    @Test("one attempt for each that waits, up to the limit; the first come is served first")
    func order() {
        var machine = machine { $0.maximumWaiters = 9 }
        #expect(machine.acquire(1, at: now) == [.open(1)])
        #expect(machine.acquire(2, at: now) == [.open(2)])
        #expect(machine.acquire(3, at: now) == [])
        #expect(machine.opened(2, at: now) == [.give(2, to: 1)])
        #expect(machine.opened(1, at: now) == [.give(1, to: 2)])
        #expect(machine.release(1, isUsable: true, at: now) == [.give(1, to: 3)])
        #expect(machine.release(2, isUsable: true, at: now) == [])
        #expect(machine.idleCount == 1)
    }

    @Test("who comes later does not overtake those who wait")
    func noOvertaking() {
        var machine = machine { $0.maximum = 1 }
        _ = machine.acquire(1, at: now)
        _ = machine.opened(1, at: now)
        #expect(machine.acquire(2, at: now) == [])
        #expect(machine.release(1, isUsable: true, at: now) == [.give(1, to: 2)])
        #expect(machine.acquire(3, at: now) == [])
    }

    @Test("the line has an end")
    func boundedLine() {
        var machine = machine { $0.maximum = 1 }
        for waiter in UInt64(1)...2 { _ = machine.acquire(waiter, at: now) }
        guard case .refuse(3, let error)? = machine.acquire(3, at: now).last else {
            Issue.record("The third was not refused.")
            return
        }
        #expect(error.code == .exhausted)
        #expect(machine.abandon(1)?.code == .exhausted)
        #expect(machine.abandon(1) == nil)
        #expect(machine.waiterCount == 1)
    }

    @Test("a broken connection is replaced for those who wait")
    func replacement() {
        var machine = machine { $0.maximum = 1 }
        _ = machine.acquire(1, at: now)
        _ = machine.opened(1, at: now)
        _ = machine.acquire(2, at: now)
        #expect(machine.release(1, isUsable: false, at: now) == [.close(1), .open(2)])
        #expect(machine.opened(2, at: now) == [.give(2, to: 2)])
    }

    @Test("while the server is away one attempt at a time is made, further and further apart")
    func backOff() {
        var machine = machine()
        let away = DatabaseError(.connectFailed, "away")
        #expect(machine.acquire(1, at: now) == [.open(1)])
        #expect(machine.acquire(2, at: now) == [.open(2)])
        let first = now + limits.backOffBase
        #expect(machine.openFailed(1, away, at: now) == [.tick(at: first)])
        let second = now + limits.backOffBase * 2
        #expect(machine.openFailed(2, away, at: now) == [.tick(at: second)])
        // The pool has one alarm, the earliest: whoever is woken before the next attempt says when that is.
        #expect(machine.tick(at: first) == [.tick(at: second)])
        #expect(machine.tick(at: second) == [.open(3)])
        #expect(machine.tick(at: second) == [])
        #expect(machine.openFailed(3, away, at: second) == [.tick(at: second + limits.backOffBase * 4)])
        // They learn why, not only that it took too long.
        #expect(machine.abandon(1) == away)
        let third = second + limits.backOffBase * 4
        #expect(machine.tick(at: third) == [.open(4)])
        #expect(machine.opened(4, at: third) == [.give(4, to: 2)])
    }

    @Test("a refusal is told to all who wait, and to those who come before the next attempt")
    func refusal() {
        var machine = machine()
        let refusal = DatabaseError(.refused, "wrong password")
        _ = machine.acquire(1, at: now)
        let actions = machine.openFailed(1, refusal, at: now)
        #expect(actions.first == .refuse(1, refusal))
        #expect(machine.acquire(2, at: now) == [.refuse(2, refusal)])
        #expect(machine.acquire(3, at: now + .seconds(1)) == [.open(2)])
    }

    @Test("a refusal is no news to those who wait while there is a connection that works")
    func refusalBesideAWorkingConnection() {
        var machine = machine()
        let refusal = DatabaseError(.refused, "no more connections for this role")
        _ = machine.acquire(1, at: now)
        _ = machine.opened(1, at: now)
        #expect(machine.acquire(2, at: now) == [.open(2)])
        let retry = now + limits.backOffBase
        #expect(machine.openFailed(2, refusal, at: now) == [.tick(at: retry)])
        #expect(machine.acquire(3, at: now) == [])
        #expect(machine.release(1, isUsable: true, at: now) == [.give(1, to: 2)])
        #expect(machine.release(1, isUsable: true, at: now) == [.give(1, to: 3)])
        #expect(machine.release(1, isUsable: true, at: now) == [])
        #expect(machine.acquire(4, at: now) == [.give(1, to: 4)])
        #expect(machine.acquire(5, at: now) == [])
        #expect(machine.acquire(7, at: now) == [])
        #expect(machine.abandon(7)?.code == .exhausted)
        // The last that worked is gone: now it is an answer.
        #expect(machine.release(1, isUsable: false, at: now) == [.close(1)])
        #expect(machine.tick(at: retry) == [.open(3)])
        #expect(machine.openFailed(3, refusal, at: retry).first == .refuse(5, refusal))
        #expect(machine.acquire(6, at: retry) == [.refuse(6, refusal)])
    }

    @Test("connections grow old, in use and idle")
    func age() {
        var machine = machine()
        _ = machine.acquire(1, at: now)
        _ = machine.opened(1, at: now)
        #expect(machine.release(1, isUsable: true, at: now + .seconds(101)) == [.close(1)])
        _ = machine.acquire(2, at: now)
        _ = machine.opened(2, at: now)
        _ = machine.release(2, isUsable: true, at: now)
        #expect(machine.tick(at: now + .seconds(9)) == [])
        #expect(machine.tick(at: now + .seconds(10)) == [.close(2)])
    }

    @Test("the least number is kept up")
    func minimum() {
        var machine = machine { $0.minimum = 1 }
        #expect(machine.tick(at: now) == [.open(1)])
        _ = machine.opened(1, at: now)
        #expect(machine.tick(at: now + .seconds(50)) == [])
        #expect(machine.lost(1, at: now) == [.close(1), .open(2)])
    }

    @Test("closing refuses those who wait, and waits for what is lent")
    func closing() {
        var machine = machine { $0.maximum = 1 }
        _ = machine.acquire(1, at: now)
        _ = machine.opened(1, at: now)
        _ = machine.acquire(2, at: now)
        #expect(machine.close() == [.refuse(2, .closed)])
        #expect(machine.acquire(3, at: now) == [.refuse(3, .closed)])
        #expect(machine.release(1, isUsable: true, at: now) == [.close(1), .finished])
        #expect(machine.close() == [])
    }

    @Test("closing while a connection is being opened")
    func closingWhileOpening() {
        var machine = machine()
        _ = machine.acquire(1, at: now)
        #expect(machine.close() == [.refuse(1, .closed)])
        #expect(machine.opened(1, at: now) == [.close(1), .finished])
        var other = self.machine()
        _ = other.acquire(1, at: now)
        _ = other.close()
        #expect(other.openFailed(1, DatabaseError(.connectFailed, "away"), at: now) == [.finished])
    }
}
