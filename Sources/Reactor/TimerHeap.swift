import HeapModule

/// Names one scheduled timer of one ``TimerScheduler``; never reused within it.
package struct TimerID: Hashable, Sendable {
    package let rawValue: UInt64

    package init(rawValue: UInt64) {
        self.rawValue = rawValue
    }
}

/// Something that can run an action at an instant: the ``Reactor`` in production, a clock moved by hand in tests.
///
/// Everything here is called on the executor that the scheduler belongs to, and actions run there.
package protocol TimerScheduler: AnyObject, Sendable {
    /// The current instant. May be read from any thread.
    var now: ContinuousClock.Instant { get }

    /// Runs `action` once, at `deadline` or as soon after it as the executor gets there; never before.
    func schedule(at deadline: ContinuousClock.Instant, _ action: @escaping () -> Void) -> TimerID

    /// Forgets the timer. After this call its action will not run; unknown and fired timers are ignored.
    func cancel(_ timer: TimerID)
}

/// The pure part of a timer service: what is due, in which order, and when to look next.
///
/// A cancelled timer leaves its entry in the heap until it surfaces or until the dead outnumber the living, so that
/// cancelling (what nearly every timeout ends with) is a dictionary removal.
package struct TimerHeap {
    private struct Entry: Comparable {
        let deadline: ContinuousClock.Instant
        let id: UInt64

        static func < (left: Entry, right: Entry) -> Bool {
            left.deadline == right.deadline ? left.id < right.id : left.deadline < right.deadline
        }
    }

    private var entries = Heap<Entry>()
    private var actions: [UInt64: () -> Void] = [:]
    private var lastID: UInt64 = 0

    package init() {}

    /// How many timers wait to fire.
    package var count: Int { actions.count }

    /// How many entries are stored, those of cancelled timers among them.
    package var storedCount: Int { entries.count }

    package mutating func schedule(
        at deadline: ContinuousClock.Instant,
        _ action: @escaping () -> Void
    ) -> TimerID {
        lastID += 1
        entries.insert(Entry(deadline: deadline, id: lastID))
        actions[lastID] = action
        return TimerID(rawValue: lastID)
    }

    /// Returns the action, so that it is released when this access has ended: what it captured may have a `deinit` that
    /// comes back here.
    @discardableResult
    package mutating func cancel(_ timer: TimerID) -> (() -> Void)? {
        let action = actions.removeValue(forKey: timer.rawValue)
        if entries.count > 64 && entries.count > actions.count * 2 {
            let living = actions
            entries = Heap(entries.unordered.filter { living[$0.id] != nil })
        }
        return action
    }

    /// The instant of the earliest timer that was not cancelled.
    package mutating func nextDeadline() -> ContinuousClock.Instant? {
        while let first = entries.min {
            if actions[first.id] != nil { return first.deadline }
            entries.removeMin()
        }
        return nil
    }

    /// Takes the earliest timer out, if it is due at `now`.
    ///
    /// Timers are taken one at a time, so that an action that cancels a timer due in the same turn is obeyed.
    package mutating func popDue(at now: ContinuousClock.Instant) -> (() -> Void)? {
        guard let deadline = nextDeadline(), deadline <= now else { return nil }
        return actions.removeValue(forKey: entries.removeMin().id)
    }

    /// The timers that wait, in the order in which they would fire.
    package var waiting: [TimerID] {
        entries.unordered.filter { actions[$0.id] != nil }.sorted().map { TimerID(rawValue: $0.id) }
    }
}
