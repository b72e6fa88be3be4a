import Synchronization

/// One thread that waits for sockets and timers, and is the Swift executor of whatever is bound to it.
///
/// An actor pinned to a reactor, its sockets and its timers share the thread, so a command, its write, its read and its
/// reply never change threads. Nothing that runs here may block.
///
/// - Lifetime: the thread starts with the first piece of work and holds the reactor until ``stop()``. Whoever makes a
///   reactor stops it. Work enqueued after that is not lost: a thread is started for as long as it takes.
/// - Threads: ``execute(_:)``, ``enqueue(_:)``, ``stop()`` and ``now`` may be called from anywhere; the rest on the
///   reactor only, which is checked.
package final class Reactor: SerialExecutor, TaskExecutor, TimerScheduler {
    /// What other threads hand in.
    private struct Inbox {
        var jobs: [ReactorJob] = []
        var hasThread = false
        var isStopping = false
        /// The thread is, or is about to be, inside `poll`: whoever adds a job must wake it.
        var isSleeping = false
        var exitWaiters: [CheckedContinuation<Void, Never>] = []
    }

    private let inbox = Mutex(Inbox())
    private let wakeUp: WakeUpPipe
    private let name: String
    /// 0 while there is no thread.
    private let thread = Atomic<UInt>(0)
    private let pollReturns = Atomic<UInt64>(0)
    /// Guard: touched on the reactor's thread only. Threads follow one another; the inbox' mutex orders them.
    nonisolated(unsafe) private let loop: ReactorLoop

    /// - Throws: ``ReactorError`` when no pipe can be had (out of descriptors).
    package init(name: String = "redis-locks") throws(ReactorError) {
        self.name = name
        wakeUp = try WakeUpPipe()
        loop = ReactorLoop(wakeUp: wakeUp.readEnd)
    }

    // MARK: Work

    package func enqueue(_ job: consuming ExecutorJob) {
        add(.swift(UnownedJob(job)))
    }

    /// Runs `work` on the reactor, soon, in the order of the calls of one thread.
    package func execute(_ work: @escaping @Sendable () -> Void) {
        add(.closure(work))
    }

    private func add(_ job: ReactorJob) {
        if isOnReactor {
            loop.jobs.append(job)
            return
        }
        // The runtime lends an executor without holding it. Once the job can be seen, the thread may run it, and with it the
        // last task that kept this reactor, before the lines below are through.
        let life = Unmanaged.passRetained(self)
        defer { life.release() }
        let (mustStart, mustWake) = inbox.withLock { inbox in
            inbox.jobs.append(job)
            defer {
                inbox.hasThread = true
                inbox.isSleeping = false
            }
            return (!inbox.hasThread, inbox.isSleeping)
        }
        if mustStart { startThread() }
        if mustWake { wakeUp.signal() }
    }

    /// Whether the caller runs on this reactor.
    package var isOnReactor: Bool {
        thread.load(ordering: .relaxed) == Platform.currentThread
    }

    package func checkIsolated() {
        precondition(isOnReactor, "This code belongs to the reactor \"\(name)\", but was called on another thread.")
    }

    package func isIsolatingCurrentContext() -> Bool? {
        isOnReactor
    }

    /// Whether nothing is queued besides the work that asks: tests advance their clock when all is said and done.
    ///
    /// Timers and descriptors do not count.
    package var isQuiet: Bool {
        checkIsolated()
        return loop.jobs.isEmpty && loop.endOfTurn.isEmpty && inbox.withLock { $0.jobs.isEmpty }
    }

    // MARK: Time, descriptors and the end of a turn

    package var now: ContinuousClock.Instant { .now }

    package func schedule(at deadline: ContinuousClock.Instant, _ action: @escaping () -> Void) -> TimerID {
        checkIsolated()
        return loop.timers.schedule(at: deadline, action)
    }

    package func cancel(_ timer: TimerID) {
        checkIsolated()
        let action = loop.timers.cancel(timer)
        withExtendedLifetime(action) {}
    }

    /// Starts to watch a descriptor, for nothing yet. The caller keeps the descriptor open until ``unwatch(_:)``.
    package func watch(_ descriptor: CInt, handler: any ReadinessHandler) -> Watch {
        checkIsolated()
        return loop.descriptors.add(descriptor, handler: handler)
    }

    package func setInterest(_ interest: Readiness, of watch: Watch) {
        checkIsolated()
        loop.descriptors.setInterest(interest, of: watch)
    }

    package func unwatch(_ watch: Watch) {
        checkIsolated()
        let handler = loop.descriptors.remove(watch)
        withExtendedLifetime(handler) {}
    }

    /// Runs `action` once after the jobs of this turn and before the reactor waits: the place to write what they queued.
    package func atEndOfTurn(_ action: @escaping () -> Void) {
        checkIsolated()
        loop.endOfTurn.append(action)
    }

    /// How often the thread came out of `poll`, since the beginning. Stands still while nothing happens.
    package var wakeUpCount: UInt64 { pollReturns.load(ordering: .relaxed) }

    // MARK: Life

    /// Asks the thread to leave when its work is done. Timers that still wait are fired at once, early: whoever waits for
    /// one is told rather than forgotten.
    package func stop() {
        let mustWake = inbox.withLock { inbox in
            inbox.isStopping = true
            defer { inbox.isSleeping = false }
            return inbox.isSleeping
        }
        if mustWake { wakeUp.signal() }
    }

    /// Like ``stop()``, and waits until the thread has left. An actor that is pinned to the reactor cannot await it.
    package func stopAndWait() async {
        stop()
        // A caller may prefer the reactor as its executor. Resumed there it would start another thread, behind the back of
        // the one that ends, so the wait is spent on the global pool.
        await withTaskExecutorPreference(globalConcurrentExecutor) {
            await withCheckedContinuation { continuation in
                let isGone = inbox.withLock { inbox in
                    if inbox.hasThread { inbox.exitWaiters.append(continuation) }
                    return !inbox.hasThread
                }
                if isGone { continuation.resume() }
            }
        }
    }

    private func startThread() {
        let status = Platform.startThread { [self] in
            Platform.nameCurrentThread(name)
            Platform.blockSIGPIPE()
            thread.store(Platform.currentThread, ordering: .relaxed)
            let waiters = run()
            return { for waiter in waiters { waiter.resume() } }
        }
        // Tasks already depend on this executor; without a thread none of them could ever be told.
        precondition(status == 0, "No thread for the reactor \"\(name)\" (errno \(status)).")
    }

    /// Returns when there is nothing left to do after ``stop()``, with those who wait for that.
    private func run() -> [CheckedContinuation<Void, Never>] {
        while true {
            let isStopping = takeJobs()
            loop.runTurn(on: self)
            if isStopping { loop.fireAllTimers() }

            let hasWork = !loop.jobs.isEmpty || !loop.endOfTurn.isEmpty
            switch nextStep(hasWork: hasWork) {
            case .leave(let waiters): return waiters
            case .look(let mayBlock):
                if loop.wait(block: mayBlock) { wakeUp.drain() }
            }
            pollReturns.wrappingAdd(1, ordering: .relaxed)
            inbox.withLock { $0.isSleeping = false }
            loop.deliver()
        }
    }

    /// A function of its own, so that the thread keeps nothing alive that a job captured while it sleeps.
    ///
    /// Returns whether the reactor is to stop.
    private func takeJobs() -> Bool {
        let (batch, isStopping) = inbox.withLock { inbox in
            defer { inbox.jobs.removeAll(keepingCapacity: false) }
            return (inbox.jobs, inbox.isStopping)
        }
        loop.jobs.append(contentsOf: batch)
        return isStopping
    }

    private enum NextStep {
        case leave([CheckedContinuation<Void, Never>])
        case look(mayBlock: Bool)
    }

    private func nextStep(hasWork: Bool) -> NextStep {
        inbox.withLock { inbox in
            guard inbox.jobs.isEmpty && !hasWork else { return .look(mayBlock: false) }
            if inbox.isStopping {
                guard loop.timers.count == 0 else { return .look(mayBlock: false) }
                inbox.hasThread = false
                thread.store(0, ordering: .relaxed)
                defer { inbox.exitWaiters.removeAll() }
                return .leave(inbox.exitWaiters)
            }
            inbox.isSleeping = true
            return .look(mayBlock: true)
        }
    }
}
