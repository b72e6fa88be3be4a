#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// What a descriptor is ready for, or what is wrong with it.
package struct Readiness: OptionSet, Sendable {
    package let rawValue: UInt8

    package init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    package static let readable = Readiness(rawValue: 1)
    package static let writable = Readiness(rawValue: 2)
    /// The descriptor was closed by someone else while it was watched. It is no longer watched.
    package static let invalid = Readiness(rawValue: 4)
}

/// Receives a descriptor's readiness, on the Reactor.
package protocol ReadinessHandler: AnyObject {
    func ready(_ readiness: Readiness)
}

/// One watched descriptor. Belongs to the Reactor's thread, like everything that can reach it.
package final class Watch {
    fileprivate let descriptor: CInt
    /// Nil once removed, so that a handler that keeps its watch makes no cycle.
    fileprivate var handler: (any ReadinessHandler)?
    fileprivate var index: Int
    /// What the descriptor is watched for; empty means errors only.
    package fileprivate(set) var interest: Readiness = []

    fileprivate init(descriptor: CInt, handler: any ReadinessHandler, index: Int) {
        self.descriptor = descriptor
        self.handler = handler
        self.index = index
    }

    fileprivate static let removed = -1
}

/// The descriptors that one `poll(2)` waits for. `poll` is portable, and right for tens of descriptors.
struct PollSet {
    private var descriptors: [pollfd]
    private var watches: [Watch?]

    /// - Parameter wakeUp: the descriptor at index 0, drained by the caller.
    init(wakeUp: CInt) {
        descriptors = [pollfd(fd: wakeUp, events: Int16(POLLIN), revents: 0)]
        watches = [nil]
    }

    mutating func add(_ descriptor: CInt, handler: any ReadinessHandler) -> Watch {
        let watch = Watch(descriptor: descriptor, handler: handler, index: descriptors.count)
        descriptors.append(pollfd(fd: descriptor, events: 0, revents: 0))
        watches.append(watch)
        return watch
    }

    mutating func setInterest(_ interest: Readiness, of watch: Watch) {
        guard watch.index != Watch.removed, watch.interest != interest else { return }
        watch.interest = interest
        var events: Int16 = 0
        if interest.contains(.readable) { events |= Int16(POLLIN) }
        if interest.contains(.writable) { events |= Int16(POLLOUT) }
        descriptors[watch.index].events = events
    }

    /// Returns the handler, so that it is released when this access has ended: its `deinit` may come back here.
    mutating func remove(_ watch: Watch) -> (any ReadinessHandler)? {
        let index = watch.index
        guard index != Watch.removed else { return nil }
        watch.index = Watch.removed
        let last = descriptors.count - 1
        if index != last {
            descriptors[index] = descriptors[last]
            watches[index] = watches[last]
            watches[index]?.index = index
        }
        descriptors.removeLast()
        watches.removeLast()
        return watch.handler.take()
    }

    /// Waits. Returns whether the wake-up descriptor is readable, and the watches that have something to hear.
    ///
    /// An interrupted or failed `poll` is an empty answer: the loop comes round again.
    mutating func wait(timeout: CInt) -> (wokenUp: Bool, events: [ReadyEvent]) {
        let count = poll(&descriptors, nfds_t(descriptors.count), timeout)
        guard count > 0 else { return (false, []) }
        let wokenUp = descriptors[0].revents != 0
        var events: [ReadyEvent] = []
        var remaining = count - (wokenUp ? 1 : 0)
        for index in 1..<descriptors.count where remaining > 0 {
            let revents = CInt(descriptors[index].revents)
            guard revents != 0, let watch = watches[index] else { continue }
            remaining -= 1
            events.append(ReadyEvent(watch: watch, revents: revents))
        }
        return (wokenUp, events)
    }

    /// What to tell whom, judged by what is of interest now: handlers told earlier in this turn may have changed that,
    /// and nil means that nothing is left to tell. A hopeless descriptor is removed, lest `poll` spin on it.
    mutating func prepareDelivery(of event: ReadyEvent) -> (handler: any ReadinessHandler, readiness: Readiness)? {
        let watch = event.watch
        if event.revents & CInt(POLLNVAL) != 0 {
            return remove(watch).map { ($0, .invalid) }
        }
        var readiness: Readiness = []
        if event.revents & (CInt(POLLERR) | CInt(POLLHUP)) != 0 {
            // Reported as readiness for whatever was asked: the next read or write will tell the reason.
            if watch.interest.isEmpty { return remove(watch).map { ($0, [.readable, .writable]) } }
            readiness = watch.interest
        }
        if event.revents & CInt(POLLIN) != 0 { readiness.insert(.readable) }
        if event.revents & CInt(POLLOUT) != 0 { readiness.insert(.writable) }
        readiness.formIntersection(watch.interest)
        guard !readiness.isEmpty, let handler = watch.handler else { return nil }
        return (handler, readiness)
    }
}

/// What `poll` said about one descriptor.
struct ReadyEvent {
    fileprivate let watch: Watch
    fileprivate let revents: CInt
}
