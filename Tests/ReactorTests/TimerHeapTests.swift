import Reactor
import TestSupport
import Testing

/// The pure part: no thread, no clock.
struct TimerHeapTests {
    private let start = ContinuousClock.now

    private func drain(_ heap: inout TimerHeap, at now: ContinuousClock.Instant) {
        while let action = heap.popDue(at: now) { action() }
    }

    @Test("timers come out by deadline, equal deadlines in the order of scheduling")
    func order() {
        var heap = TimerHeap()
        let log = Record<Int>()
        for (number, delay) in [3, 1, 2, 1, 3, 1, 0].enumerated() {
            _ = heap.schedule(at: start + .seconds(delay)) { log.append(number) }
        }
        drain(&heap, at: start + .seconds(3))
        #expect(log.elements == [6, 1, 3, 5, 2, 0, 4])
        #expect(heap.count == 0)
    }

    @Test("a thousand equal deadlines come out first in, first out")
    func manyEqual() {
        var heap = TimerHeap()
        let log = Record<Int>()
        for number in 0..<1000 { _ = heap.schedule(at: start) { log.append(number) } }
        drain(&heap, at: start)
        #expect(log.elements == Array(0..<1000))
    }

    @Test("nothing is due before its deadline, and everything at it")
    func due() {
        var heap = TimerHeap()
        _ = heap.schedule(at: start + .nanoseconds(10)) {}
        #expect(heap.popDue(at: start + .nanoseconds(9)) == nil)
        #expect(heap.nextDeadline() == start + .nanoseconds(10))
        #expect(heap.popDue(at: start + .nanoseconds(10)) != nil)
        #expect(heap.nextDeadline() == nil)
    }

    @Test("a cancelled timer is neither due nor next, and cancelling it again does nothing")
    func cancel() {
        var heap = TimerHeap()
        let first = heap.schedule(at: start) {}
        _ = heap.schedule(at: start + .seconds(1)) {}
        #expect(heap.cancel(first) != nil)
        #expect(heap.cancel(first) == nil)
        #expect(heap.count == 1)
        #expect(heap.nextDeadline() == start + .seconds(1))
        #expect(heap.popDue(at: start) == nil)
    }

    @Test("a fired timer's name is not used again, and cancelling by it hits nobody")
    func namesAreUnique() {
        var heap = TimerHeap()
        let first = heap.schedule(at: start) {}
        drain(&heap, at: start)
        let second = heap.schedule(at: start) {}
        #expect(first != second)
        #expect(heap.cancel(first) == nil)
        #expect(heap.count == 1)
    }

    @Test("ten thousand cancelled timers leave no more than a few entries behind")
    func cancelledTimersAreForgotten() {
        var heap = TimerHeap()
        _ = heap.schedule(at: start + .seconds(1)) {}
        for _ in 0..<10_000 {
            let timer = heap.schedule(at: start + .seconds(60)) {}
            heap.cancel(timer)
        }
        #expect(heap.count == 1)
        #expect(heap.storedCount <= 128)
        let timers = (0..<10_000).map { heap.schedule(at: start + .milliseconds($0)) {} }
        for timer in timers { heap.cancel(timer) }
        #expect(heap.storedCount <= 128)
        #expect(heap.nextDeadline() == start + .seconds(1))
    }

    @Test("waiting timers are listed in firing order, without the cancelled")
    func waiting() {
        var heap = TimerHeap()
        let late = heap.schedule(at: start + .seconds(2)) {}
        let cancelled = heap.schedule(at: start) {}
        let early = heap.schedule(at: start + .seconds(1)) {}
        let alsoEarly = heap.schedule(at: start + .seconds(1)) {}
        heap.cancel(cancelled)
        #expect(heap.waiting == [early, alsoEarly, late])
    }

    @Test("random schedules and cancellations agree with a sorted list", arguments: 0..<20)
    func agreesWithModel(seed: UInt64) {
        var random = SeededGenerator(seed: seed)
        var heap = TimerHeap()
        var model: [(deadline: Int, id: TimerID)] = []
        var now = 0
        for _ in 0..<2000 {
            switch random.next() % 4 {
            case 0, 1:
                let deadline = now + Int(random.next() % 50)
                model.append((deadline, heap.schedule(at: start + .nanoseconds(deadline)) {}))
            case 2 where !model.isEmpty:
                let victim = model.remove(at: Int(random.next() % UInt64(model.count)))
                #expect(heap.cancel(victim.id) != nil)
            default:
                now += Int(random.next() % 10)
                var fired = 0
                while heap.popDue(at: start + .nanoseconds(now)) != nil { fired += 1 }
                #expect(fired == model.count { $0.deadline <= now })
                model.removeAll { $0.deadline <= now }
            }
            #expect(heap.count == model.count)
            #expect(heap.nextDeadline() == model.map(\.deadline).min().map { start + .nanoseconds($0) })
        }
    }
}
