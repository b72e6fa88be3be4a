import Testing

@testable import ReservationsPostgreSQL

/// Whatever happens in whatever order, whoever waits is waited for by something.
@Suite("The pool forgets nobody")
struct PoolLivenessTests {
    private struct Dice: RandomNumberGenerator, Sendable {
        var state: UInt64

        mutating func next() -> UInt64 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return state ^ (state >> 29)
        }
    }

    /// The effects of the machine, with one alarm, as the pool has it.
    private struct World {
        var machine: PoolMachine
        var now = ContinuousClock.now
        var alarm: ContinuousClock.Instant?
        var opening: Set<UInt64> = []
        var lent: Set<UInt64> = []
        var open: Set<UInt64> = []
        var waiting: Set<UInt64> = []
        var isFinished = false

        mutating func apply(_ actions: [PoolMachine.Action]) {
            for action in actions {
                switch action {
                case .open(let id): opening.insert(id)
                case .close(let id):
                    opening.remove(id)
                    open.remove(id)
                    lent.remove(id)
                case .give(let id, let waiter):
                    #expect(waiting.remove(waiter) != nil, "Given to nobody.")
                    #expect(open.contains(id) && lent.insert(id).inserted, "Given twice.")
                case .refuse(let waiter, _): #expect(waiting.remove(waiter) != nil, "Refused twice.")
                case .tick(let instant): alarm = alarm.map { min($0, instant) } ?? instant
                case .finished:
                    #expect(!isFinished)
                    isFinished = true
                }
            }
        }
    }

    @Test("in any order of calls, failures and time", arguments: 0..<300)
    func liveness(seed: Int) {
        var dice = Dice(state: UInt64(seed) &* 0x9E37_79B9_7F4A_7C15)
        let limits = PoolLimits(
            minimum: seed % 3 == 0 ? 1 : 0, maximum: 3, maximumWaiters: 6, lifetime: .seconds(20), idleTime: .seconds(5)
        )
        var world = World(machine: PoolMachine(limits: limits, generator: dice))
        var last: UInt64 = 0
        for _ in 0..<400 {
            switch Int.random(in: 0..<9, using: &dice) {
            case 0, 1:
                last += 1
                world.waiting.insert(last)
                world.apply(world.machine.acquire(last, at: world.now))
            case 2:
                guard let id = world.opening.min() else { continue }
                world.opening.remove(id)
                world.open.insert(id)
                world.apply(world.machine.opened(id, at: world.now))
            case 3, 4:
                guard let id = world.opening.max() else { continue }
                world.opening.remove(id)
                let code: DatabaseError.Code = Bool.random(using: &dice) ? .refused : .connectFailed
                world.apply(world.machine.openFailed(id, DatabaseError(code, "no"), at: world.now))
            case 5:
                guard let id = world.lent.min() else { continue }
                world.lent.remove(id)
                world.apply(world.machine.release(id, isUsable: Bool.random(using: &dice), at: world.now))
            case 6:
                guard let id = world.open.max() else { continue }
                world.apply(world.machine.lost(id, at: world.now))
            case 7:
                guard let waiter = world.waiting.min() else { continue }
                #expect(world.machine.abandon(waiter) != nil)
                world.waiting.remove(waiter)
            default:
                world.now += .milliseconds(.random(in: 0...400, using: &dice))
                guard let alarm = world.alarm, alarm <= world.now else { continue }
                world.alarm = nil
                world.apply(world.machine.tick(at: world.now))
            }
            check(world)
        }
        world.apply(world.machine.close())
        #expect(world.waiting.isEmpty)
        for id in world.opening { world.apply(world.machine.openFailed(id, .closed, at: world.now)) }
        for id in world.lent { world.apply(world.machine.release(id, isUsable: true, at: world.now)) }
        #expect(world.isFinished)
    }

    private func check(_ world: World) {
        #expect(world.machine.connectionCount <= 3)
        #expect(world.machine.waiterCount == world.waiting.count)
        #expect(world.machine.connectionCount == world.open.union(world.opening).count)
        if world.waiting.isEmpty { return }
        #expect(world.machine.idleCount == 0)
        #expect(
            !world.opening.isEmpty || !world.lent.isEmpty || world.alarm != nil, "Somebody waits, and for nothing.")
    }
}
