import Hiredis
import Reactor
import RedisLocks

/// The lock engine's connection to an ``InMemoryServer``: delays, faults and deadlines by the manual clock.
///
/// Belongs to the reactor, like every node.
final class InMemoryNode: LockNode {
    private struct Pending {
        let completion: (NodeResponse) -> Void
        let sent: ContinuousClock.Instant
        /// The server's clock when it executed the request: part of the reply.
        var serverTime: WallTime?
        var timer: TimerID?
    }

    private let server: InMemoryServer
    private var time: ManualTime { server.time }
    private var pending: [UInt64: Pending] = [:]
    private var lastRequest: UInt64 = 0
    /// What a server that stands still has not read yet; the sender may have given up on it.
    private var unread: [(id: UInt64, request: NodeRequest, deadline: ContinuousClock.Instant)] = []
    /// Replies of one connection do not overtake one another.
    private var lastReply: ContinuousClock.Instant
    private var isClosing = false
    private var onClosed: (() -> Void)?
    private var closeTimer: TimerID?

    var onEvent: ((NodeEvent) -> Void)?
    var label: String { server.label }
    var isDurable: Bool { server.isDurable }
    private(set) var lastReading: ClockReading?

    init(server: InMemoryServer) {
        self.server = server
        lastReply = server.time.now
    }

    func setWanted(_ isWanted: Bool) {
        server.setWanted(isWanted)
    }

    // MARK: Requests

    func send(
        _ request: NodeRequest, deadline: ContinuousClock.Instant, completion: @escaping (NodeResponse) -> Void
    ) {
        lastRequest += 1
        let id = lastRequest
        pending[id] = Pending(completion: completion, sent: time.now)
        if isClosing { return fail(id, .notApplied, .unreachable("closed")) }
        guard deadline > time.now else { return fail(id, .notApplied, .timedOut) }
        let isPaused = server.receive(request)
        if isPaused || !unread.isEmpty {
            unread.append((id, request, deadline))
            return answer(id, Self.timeout, at: deadline)
        }
        perform(id, request, deadline: deadline)
    }

    private func perform(_ id: UInt64, _ request: NodeRequest, deadline: ContinuousClock.Instant) {
        switch server.takeFault(for: request) {
        case nil:
            execute(id, request, delay: .zero, deadline: deadline)
        case .hang:
            answer(id, Self.timeout, at: deadline)
        case .refuse(let line):
            reply(id, .failure(NodeFailure(RedisServerError(line))), at: time.now, deadline: deadline)
        case .unreachable:
            fail(id, .notApplied, .unreachable("no connection"))
        case .loseReply:
            fail(id, .ambiguous, .unreachable(Self.brokenConnection))
        case .applyThenLoseReply:
            _ = server.execute(request)
            fail(id, .ambiguous, .unreachable(Self.brokenConnection))
        case .delayReply(let delay):
            execute(id, request, delay: delay, deadline: deadline)
        }
    }

    private func execute(
        _ id: UInt64, _ request: NodeRequest, delay: Duration, deadline: ContinuousClock.Instant
    ) {
        if request.tellsTime { pending[id]?.serverTime = server.wallTime }
        reply(id, server.execute(request), at: time.now + delay, deadline: deadline)
    }

    /// The server goes on and reads what has piled up. Whoever gave up on a request has its answer already.
    func drain() {
        let requests = unread
        unread = []
        for (id, request, deadline) in requests {
            if pending[id] == nil {
                if server.takeFault(for: request) == nil { _ = server.execute(request) }
            } else {
                perform(id, request, deadline: deadline)
            }
        }
    }

    /// The server restarts: nothing that was sent is answered, and what it had not read is gone.
    func breakConnection() {
        unread = []
        lastReply = time.now
        for id in pending.keys.sorted() { fail(id, .ambiguous, .unreachable(Self.brokenConnection)) }
        guard !isClosing else { return }
        onEvent?(.disconnected(Self.brokenConnection))
        onEvent?(.connected)
    }

    func close(deadline: ContinuousClock.Instant, completion: @escaping () -> Void) {
        isClosing = true
        onClosed = completion
        onEvent = nil
        // A timer, and never at once: the caller gets to return first.
        closeTimer = time.schedule(at: pending.isEmpty ? time.now : deadline) { [self] in
            for id in pending.keys.sorted() { complete(id, Self.timeout) }
            closeIfDone()
        }
    }

    // MARK: Answers

    private static let timeout = NodeResponse.failure(NodeFailure(.ambiguous, .timedOut))
    private static let brokenConnection = "the connection broke"

    private func reply(
        _ id: UInt64, _ response: NodeResponse, at instant: ContinuousClock.Instant, deadline: ContinuousClock.Instant
    ) {
        let arrival = max(instant, lastReply)
        guard arrival < deadline else { return answer(id, Self.timeout, at: deadline) }
        lastReply = arrival
        answer(id, response, at: arrival)
    }

    private func fail(_ id: UInt64, _ effect: NodeFailure.Effect, _ outcome: NodeReport.Outcome) {
        answer(id, .failure(NodeFailure(effect, outcome)), at: time.now)
    }

    private func answer(_ id: UInt64, _ response: NodeResponse, at instant: ContinuousClock.Instant) {
        if let timer = pending[id]?.timer { time.cancel(timer) }
        pending[id]?.timer = time.schedule(at: instant) { [self] in complete(id, response) }
    }

    private func complete(_ id: UInt64, _ response: NodeResponse) {
        guard let request = pending.removeValue(forKey: id) else { return }
        if let timer = request.timer { time.cancel(timer) }
        if case .reply = response, let serverTime = request.serverTime {
            lastReading = ClockReading(server: serverTime.microseconds, sent: request.sent, received: time.now)
        }
        request.completion(response)
        closeIfDone()
    }

    private func closeIfDone() {
        guard isClosing, pending.isEmpty, let onClosed else { return }
        self.onClosed = nil
        if let closeTimer { time.cancel(closeTimer) }
        server.disconnect(self)
        onClosed()
    }
}
