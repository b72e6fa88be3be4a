import Reactor
import Synchronization

/// A clock that moves by hand, and the timers that hang on it.
///
/// Between two timers it waits until the reactor has *settled*: no job, closure or end-of-turn action is queued there.
/// Everything that happens on the reactor's thread is covered by that: the lock engine, the nodes, and tasks whose
/// preferred executor is the reactor. What runs elsewhere - a task on the global pool, an actor with an executor of its
/// own - is not: whoever needs it waits for what it does, with ``ChangeSignal`` or an `await` of its own.
package final class ManualTime: TimerScheduler {
    private struct Clock {
        var now: ContinuousClock.Instant
        var pending = 0
    }

    package let reactor: Reactor
    /// Notified when the clock moves and when timers come and go.
    package let changes: ChangeSignal
    private let clock: Mutex<Clock>
    /// Guard: touched on the reactor only, which is checked.
    nonisolated(unsafe) private var timers = TimerHeap()

    package init(reactor: Reactor, changes: ChangeSignal = ChangeSignal(), start: ContinuousClock.Instant = .now) {
        self.reactor = reactor
        self.changes = changes
        clock = Mutex(Clock(now: start))
    }

    package var now: ContinuousClock.Instant { clock.withLock { $0.now } }

    /// How many timers wait to fire. May be read from any thread.
    package var pendingTimers: Int { clock.withLock { $0.pending } }

    // MARK: TimerScheduler

    package func schedule(at deadline: ContinuousClock.Instant, _ action: @escaping () -> Void) -> TimerID {
        reactor.checkIsolated()
        let timer = timers.schedule(at: deadline, action)
        timersChanged()
        // What is due already does not wait for the clock to move, here as in production.
        if deadline <= now { reactor.execute { [self] in fireOne(dueAt: now) } }
        return timer
    }

    package func cancel(_ timer: TimerID) {
        reactor.checkIsolated()
        timers.cancel(timer)
        timersChanged()
    }

    // MARK: Moving the clock

    /// Moves the clock, firing every timer on the way at its own instant, in order.
    package func advance(by duration: Duration) async {
        await advance(to: now + duration)
    }

    /// Moves the clock to `target`; never back.
    package func advance(to target: ContinuousClock.Instant) async {
        repeat { await settle() } while await onReactor { [self] in step(to: target) }
        await settle()
    }

    /// Moves the clock first and fires what has become due afterwards, late: what happens to a process that stood still.
    package func jump(by duration: Duration) async {
        await settle()
        let target = await onReactor { [self] in
            clock.withLock { clock in
                clock.now += max(duration, .zero)
                return clock.now
            }
        }
        await advance(to: target)
    }

    /// Moves the clock to the earliest timer not later than `limit` and fires it. Returns `false` when there is none.
    @discardableResult
    package func advanceToNextTimer(notAfter limit: ContinuousClock.Instant? = nil) async -> Bool {
        await settle()
        let hasFired = await onReactor { [self] in
            guard let next = timers.nextDeadline(), limit.map({ next <= $0 }) ?? true else { return false }
            return step(to: next)
        }
        await settle()
        return hasFired
    }

    /// Runs `work` on the reactor, moving the clock from timer to timer until it is done.
    package func drive<Result: Sendable>(_ work: @escaping @Sendable () async -> Result) async -> Result {
        let end = End()
        return await withTaskExecutorPreference(reactor) {
            async let result = { [changes] in
                let result = await work()
                end.isReached.store(true, ordering: .releasing)
                changes.notify()
                return result
            }()
            while await !hasReached(end) {
                if await advanceToNextTimer() { continue }
                await changes.wait { [self] in end.isReached.load(ordering: .acquiring) || pendingTimers > 0 }
            }
            return await result
        }
    }

    private final class End: Sendable {
        let isReached = Atomic(false)
    }

    private func hasReached(_ end: End) async -> Bool {
        await settle()
        return end.isReached.load(ordering: .acquiring)
    }

    /// Waits until nothing is left to do on the reactor without the clock moving.
    package func settle() async {
        while await !onReactor({ [reactor] in reactor.isQuiet }) {}
    }

    /// Waits until some timer is scheduled. Returns at once when one is, or when the task is cancelled.
    package func waitForTimer() async {
        await changes.wait { [self] in pendingTimers > 0 }
    }

    // MARK: On the reactor

    /// Fires one timer, or moves the clock to its goal: then `false`. One at a time, since each may cancel the next.
    private func step(to target: ContinuousClock.Instant) -> Bool {
        let next = timers.nextDeadline().flatMap { $0 <= target ? $0 : nil }
        let now = clock.withLock { clock in
            clock.now = max(clock.now, next ?? target)
            return clock.now
        }
        guard next != nil else {
            changes.notify()
            return false
        }
        fireOne(dueAt: now)
        return true
    }

    private func fireOne(dueAt now: ContinuousClock.Instant) {
        guard let action = timers.popDue(at: now) else { return }
        timersChanged()
        action()
    }

    private func timersChanged() {
        clock.withLock { $0.pending = timers.count }
        changes.notify()
    }

    private func onReactor<Result: Sendable>(_ work: @escaping @Sendable () -> Result) async -> Result {
        await withCheckedContinuation { continuation in
            reactor.execute { continuation.resume(returning: work()) }
        }
    }
}
