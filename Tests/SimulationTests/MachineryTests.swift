import Reactor
import RedisLocks
import Testing
import TestSupport

@testable import RedisLocksTesting

@Suite("The machinery of the simulation")
struct MachineryTests {
    @Test("Events come in the order of their times, whatever the order in which they were planned")
    func queue() {
        var generator = SeededGenerator(seed: 5)
        var queue = SimulationQueue()
        let times = (0..<1000).map { _ in Int64.random(in: 0..<200, using: &generator) }
        for time in times {
            queue.push(
                SimulationEvent(time: time, tie: UInt32.random(in: 0..<4, using: &generator), kind: .act, subject: 0))
        }
        var seen: [SimulationEvent] = []
        while let event = queue.pop() { seen.append(event) }
        #expect(seen.map(\.time) == times.sorted())
        #expect(zip(seen, seen.dropFirst()).allSatisfy { !($1 < $0) })
    }

    @Test("A clock's reading and its instant are inverse, at every rate and after steps")
    func clocks() {
        for fastness in [Int64(-300_000), -48_000, -20, 0, 20, 48_000, 300_000] {
            var clock = SimulatedClock(offset: 17, fastness: fastness)
            for (now, step) in [(Int64(0), Int64(0)), (1_000_003, -500), (7_777_777, 60_000_000_000)] {
                clock.step(by: step, at: now)
                for reading in stride(from: clock.reading(at: now), to: clock.reading(at: now) + 1_000_000, by: 9_973) {
                    let instant = clock.instant(of: reading)
                    #expect(clock.reading(at: instant) >= reading)
                    #expect(instant == now || clock.reading(at: instant - 1) < reading)
                }
            }
        }
    }

    @Test("The store accepts no token smaller than one that has claimed or written")
    func store() {
        var store = SimulatedStore()
        func ask(_ kind: StoreRequest.Kind, _ token: Int64, _ value: Int64 = 0) -> StoreRequest {
            var request = StoreRequest(
                kind: kind, client: 0, task: 0, operation: 0, token: token, name: 1, value: value)
            _ = store.execute(&request)
            return request
        }
        #expect(ask(.claim, 5).isAccepted)
        #expect(ask(.write, 5, 9).isAccepted)
        #expect(ask(.claim, 7).isAccepted)
        #expect(!ask(.write, 6, 100).isAccepted)
        #expect(ask(.read, 7).value == 9)
        #expect(!ask(.claim, 5).isAccepted)
    }

    @Test("A server loses what its persistence does not keep, and nothing more", arguments: [300, 1_700])
    func persistence(milliseconds: Int64) throws {
        let names = [try LockName("a")]
        var generator = SeededGenerator(seed: 1)
        for persistence in [SimulationPlan.Persistence.always, .everySecond, .none] {
            let server = SimulatedServer(
                index: 0,
                plan: SimulationPlan.Server(
                    offset: 0, fastness: 0, persistence: persistence, isDurable: false, isNew: false))
            let request = NodeRequest.acquire(
                AcquireRequest(names: names, owner: OwnerID(using: &generator), ttl: 60_000, counterExpiry: 86_400_000))
            let granted = 5_000_000_000 as Int64
            _ = server.execute(request, at: granted)
            let end = granted + milliseconds * 1_000_000
            server.crash(.byPersistence, at: end)
            server.start(at: end)
            let isThere = server.redis.entry(names[0].bytes, at: server.wall(end)) != nil
            #expect(isThere == (persistence == .always || (persistence == .everySecond && milliseconds >= 1000)))
        }
    }

    @Test("A schedule leaves nothing behind")
    func remains() async throws {
        let reactor = try Reactor(name: "simulation")
        let areGone = await SimulationCampaign.perform(on: reactor) {
            func run(_ seed: UInt64) -> [WeakReference] {
                let simulation = Simulation(
                    seed: seed, options: SimulationOptions(), reactor: reactor, isTraced: false)
                let parts: [AnyObject] = simulation.clients + simulation.clients.flatMap(\.tasks) + simulation.servers
                simulation.run()
                return ([simulation] + parts).map { WeakReference($0) }
            }
            return (1...20).map { run(UInt64($0)).allSatisfy { $0.object == nil } }
        }
        await reactor.stopAndWait()
        #expect(areGone == Array(repeating: true, count: 20))
    }

    private struct WeakReference {
        weak var object: AnyObject?

        init(_ object: AnyObject) { self.object = object }
    }

    @Test("The corpus says which line it does not understand")
    func corpus() throws {
        let corpus = try SimulationCorpus(parsing: "# nothing\n12 inside # why\n\n 7 outside\n")
        #expect(corpus.entries.map(\.seed) == [12, 7])
        #expect(corpus.entries.map(\.regime) == [.inside, .outside])
        #expect(throws: SimulationCorpus.Mistake.self) { try SimulationCorpus(parsing: "12 beside") }
        #expect(throws: SimulationCorpus.Mistake.self) { try SimulationCorpus(parsing: "twelve inside") }
    }

    @Test("Faults are a set with names")
    func faults() {
        let faults = SimulationFaults([.crash, .delay])
        #expect(faults.list == [.delay, .crash])
        #expect("\(faults)" == "delay,crash")
        #expect(faults.has(.crash) && !faults.has(.flush))
        #expect(SimulationFault.allCases.count <= UInt32.bitWidth)
    }
}
