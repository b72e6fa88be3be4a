import Reactor
import Synchronization

/// What the thread of a ``FaultProxy`` and its tests share, behind one lock.
struct FaultProxyState {
    struct Waiter {
        let what: String
        let deadline: ContinuousClock.Instant
        let condition: @Sendable (FaultProxy.Seen) -> Bool
        let continuation: CheckedContinuation<Void, any Error>
    }

    static let harmless: [FaultProxy.Rule] = [{ _ in .pass }, { _ in .pass }]

    var rules = harmless
    var slices: [Int?] = [nil, nil]
    var links: [FaultProxyLink] = []
    var seen = FaultProxy.Seen()
    var waiters: [Waiter] = []
    var isStopping = false
    var hasEnded = false
    var endWaiters: [CheckedContinuation<Void, Never>] = []

    mutating func refresh() {
        links.removeAll(where: \.isOver)
        seen.openConnections = links.count
        seen.heldRequests = links.flatMap { $0.held(.requests) }.sorted { $0.number < $1.number }
        seen.heldReplies = links.flatMap { $0.held(.replies) }.sorted { $0.number < $1.number }
    }

    /// Takes out the waiters whose condition is true or whose time is over.
    mutating func dueWaiters() -> [(Waiter, isMet: Bool)] {
        let now = ContinuousClock.now
        var due: [(Waiter, isMet: Bool)] = []
        waiters.removeAll { waiter in
            let isMet = waiter.condition(seen)
            guard isMet || waiter.deadline <= now || isStopping else { return false }
            due.append((waiter, isMet))
            return true
        }
        return due
    }
}

/// The thread of a ``FaultProxy``: one `poll` over the listener, a pipe that wakes it, and all connections.
final class FaultProxyLoop: Sendable {
    /// Guard: links, which are no Sendable, are reached through this lock only.
    let state = Mutex(FaultProxyState())
    private let listener: CInt
    private let target: UInt16
    private let language: FaultProxy.Language
    private let wakeUp: (read: CInt, write: CInt)

    init(listener: CInt, target: UInt16, language: FaultProxy.Language) throws(TestSupportError) {
        self.language = language
        self.listener = listener
        self.target = target
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else {
            close(listener)
            throw .system("pipe")
        }
        for end in ends { POSIX.harden(end) }
        for descriptor in ends + [listener] {
            _ = fcntl(descriptor, F_SETFL, fcntl(descriptor, F_GETFL) | O_NONBLOCK)
        }
        wakeUp = (ends[0], ends[1])
        let status = Platform.startThread(toBlockIn: { [self] in run() })
        precondition(status == 0, "No thread for a fault proxy.")
    }

    /// Changes the conditions and wakes the thread, which acts on them. Nothing happens once it has ended.
    func change(_ body: (inout FaultProxyState) -> Void) {
        let orphans = state.withLock { state in
            body(&state)
            // The descriptor is closed under this lock.
            if !state.hasEnded { _ = write(wakeUp.write, [1], 1) }
            return state.hasEnded ? state.dueWaiters() : []
        }
        resume(orphans)
    }

    func end() {
        change { $0.isStopping = true }
    }

    func stop() async {
        await withCheckedContinuation { continuation in
            let isDone = state.withLock { state in
                if !state.hasEnded { state.endWaiters.append(continuation) }
                return state.hasEnded
            }
            if isDone { continuation.resume() } else { end() }
        }
    }

    // MARK: The thread

    private func run() {
        while true {
            guard let entries = turn() else { break }
            for entry in entries where entry.revents != 0 { handle(entry) }
        }
        let (due, ended) = state.withLock { state in
            for link in state.links { link.end(reset: false) }
            state.refresh()
            for descriptor in [listener, wakeUp.read, wakeUp.write] { close(descriptor) }
            state.hasEnded = true
            defer { state.endWaiters = [] }
            return (state.dueWaiters(), state.endWaiters)
        }
        resume(due)
        for waiter in ended { waiter.resume() }
    }

    /// Sends what may go, tells those who wait, and waits for something to happen. `nil` in the end.
    private func turn() -> [pollfd]? {
        let (due, plan) = state.withLock { state -> ([(FaultProxyState.Waiter, isMet: Bool)], ([pollfd], CInt)?) in
            for link in state.links { link.flush(state) }
            state.refresh()
            let due = state.dueWaiters()
            guard !state.isStopping else { return (due, nil) }
            var entries = [listener, wakeUp.read].map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            entries += state.links.flatMap(\.entries)
            let instants = state.links.compactMap(\.nextDue) + state.waiters.map(\.deadline)
            let timeout = instants.min().map {
                CInt(clamping: max((ContinuousClock.now.duration(to: $0)).milliseconds, 0))
            }
            return (due, (entries, timeout ?? -1))
        }
        resume(due)
        guard let plan else { return nil }
        var entries = plan.0
        if poll(&entries, nfds_t(entries.count), plan.1) < 0 { return [] }
        return entries
    }

    private func handle(_ entry: pollfd) {
        if entry.fd == wakeUp.read {
            var bytes = [UInt8](repeating: 0, count: 256)
            _ = read(wakeUp.read, &bytes, bytes.count)
        } else if entry.fd == listener {
            welcome()
        } else if entry.revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
            state.withLock { state in
                // A test may have cut it meanwhile.
                guard let link = state.links.first(where: { $0.client == entry.fd || $0.server == entry.fd }) else {
                    return
                }
                link.read(from: entry.fd, in: &state)
            }
        }
    }

    private func welcome() {
        let client = accept(listener, nil, nil)
        guard client >= 0 else { return }
        POSIX.harden(client)
        // The client of a server that is down finds its connection closed.
        guard let server = (try? LoopbackPort.connected(to: target)) ?? nil else {
            close(client)
            return
        }
        state.withLock { state in
            state.seen.connections += 1
            state.links.append(
                FaultProxyLink(
                    index: state.seen.connections, client: client, server: server, language: language))
        }
    }

    private func resume(_ due: [(FaultProxyState.Waiter, isMet: Bool)]) {
        for (waiter, isMet) in due {
            if isMet {
                waiter.continuation.resume()
            } else {
                waiter.continuation.resume(throwing: TestSupportError("Waited in vain for \(waiter.what)."))
            }
        }
    }
}
