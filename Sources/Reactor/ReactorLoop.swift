import DequeModule

enum ReactorJob {
    case swift(UnownedJob)
    case closure(@Sendable () -> Void)
}

/// What the reactor's thread owns: its job queue, timers and descriptors.
final class ReactorLoop {
    var jobs = Deque<ReactorJob>()
    var timers = TimerHeap()
    var descriptors: PollSet
    var endOfTurn: [() -> Void] = []
    private var events: [ReadyEvent] = []

    /// Jobs run before the sockets are looked at again: long enough to gather commands into one write, short enough
    /// that a flood of jobs cannot starve replies and timers.
    private static let jobsPerTurn = 512
    private static let timersPerTurn = 512

    init(wakeUp: CInt) {
        descriptors = PollSet(wakeUp: wakeUp)
    }

    func runTurn(on reactor: Reactor) {
        var budget = Self.jobsPerTurn
        while budget > 0, let job = jobs.popFirst() {
            budget -= 1
            switch job {
            case .swift(let job):
                job.runSynchronously(
                    isolatedTo: reactor.asUnownedSerialExecutor(),
                    taskExecutor: reactor.asUnownedTaskExecutor()
                )
            case .closure(let work): work()
            }
        }
        let actions = endOfTurn
        endOfTurn.removeAll(keepingCapacity: true)
        for action in actions { action() }
    }

    /// Waits for descriptors, timers or a wake-up. Returns whether the wake-up pipe wants to be drained.
    func wait(block: Bool) -> Bool {
        let (wokenUp, events) = descriptors.wait(timeout: block ? pollTimeout() : 0)
        self.events = events
        return wokenUp
    }

    /// Hands out what the last wait found, then fires what is due. Each step may cancel the next.
    func deliver() {
        let events = events
        self.events = []
        for event in events {
            guard let (handler, readiness) = descriptors.prepareDelivery(of: event) else { continue }
            handler.ready(readiness)
        }
        guard timers.count > 0 else { return }
        let now = ContinuousClock.now
        var budget = Self.timersPerTurn
        while budget > 0, let action = timers.popDue(at: now) {
            budget -= 1
            action()
        }
    }

    /// Fires what waits now. What the actions schedule is for the next turn, so that one which always schedules another
    /// cannot keep the jobs that would stop it from running.
    func fireAllTimers() {
        for timer in timers.waiting { timers.cancel(timer)?() }
    }

    /// Milliseconds until the next timer, rounded up, so that a timer is never looked at early; -1 for ever.
    private func pollTimeout() -> CInt {
        guard let deadline = timers.nextDeadline() else { return -1 }
        let (seconds, attoseconds) = (deadline - .now).components
        guard seconds >= 0, attoseconds > 0 || seconds > 0 else { return 0 }
        // A longer wait would overflow the C int; waking once a day is no burden.
        guard seconds < 86_400 else { return 86_400_000 }
        let milliseconds = seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000
        return CInt(milliseconds)
    }
}
