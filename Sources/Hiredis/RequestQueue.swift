import DequeModule

/// Names one command that was submitted to one connection, for cancelling it.
package struct RequestID: Hashable, Sendable {
    let rawValue: UInt64
}

/// One command on its way. Belongs to the Reactor.
final class Request {
    enum Work {
        case command(RedisCommand)
        /// The arguments are asked for when the script is sent, on the connection by which it goes.
        case script(RedisScript, keys: [String], arguments: () -> [String])
    }

    let id: RequestID
    let work: Work
    let deadline: ContinuousClock.Instant
    /// `nil` once called: what is left is a slot in the pipeline, whose reply will be dropped.
    private var completion: ((Result<RedisValue, RedisError>) -> Void)?
    /// When it was handed to the socket, `nil` while it waits.
    var sentAt: ContinuousClock.Instant?
    /// Whether it went out as `EVAL`.
    var isBySource = false

    init(
        id: RequestID, work: Work, deadline: ContinuousClock.Instant,
        completion: @escaping (Result<RedisValue, RedisError>) -> Void
    ) {
        self.id = id
        self.work = work
        self.deadline = deadline
        self.completion = completion
    }

    var isAbandoned: Bool { completion == nil }

    var name: String {
        switch work {
        case .command(let command): command.name
        case .script: isBySource ? "EVAL" : "EVALSHA"
        }
    }

    func complete(_ result: Result<RedisValue, RedisError>) {
        let completion = completion
        self.completion = nil
        completion?(result)
    }
}

/// The commands of one connection: those that wait to be sent, and those that wait for their reply, both in order.
struct RequestQueue {
    private var waiting = Deque<Request>()
    private var inFlight = Deque<Request>()
    /// Requests that somebody waits for.
    private var live: [RequestID: Request] = [:]
    private var lastID: UInt64 = 0

    /// All slots, abandoned ones included.
    var count: Int { waiting.count + inFlight.count }
    var liveCount: Int { live.count }
    var oldestSent: Request? { inFlight.first }
    /// Whether somebody waits for a command that has not been sent.
    var hasUnsent: Bool { waiting.contains { !$0.isAbandoned } }

    mutating func makeID() -> RequestID {
        lastID += 1
        return RequestID(rawValue: lastID)
    }

    mutating func add(_ request: Request) {
        live[request.id] = request
        waiting.append(request)
    }

    /// Takes the next command to send, and forgets the abandoned before it.
    mutating func popUnsent() -> Request? {
        while let request = waiting.popFirst() {
            if !request.isAbandoned { return request }
        }
        return nil
    }

    mutating func pushBackUnsent(_ request: Request) {
        request.sentAt = nil
        waiting.prepend(request)
    }

    mutating func noteSent(_ request: Request, at now: ContinuousClock.Instant) {
        request.sentAt = now
        inFlight.append(request)
    }

    mutating func popAnswered() -> Request? {
        inFlight.popFirst()
    }

    /// Takes a request from those that somebody waits for; the caller completes it. Its slot stays if it was sent.
    mutating func retire(_ id: RequestID) -> Request? {
        guard let request = live.removeValue(forKey: id) else { return nil }
        if request.sentAt == nil && waiting.count > 64 && waiting.count > live.count * 2 {
            let living = live
            waiting.removeAll { living[$0.id] == nil }
        }
        return request
    }

    /// Takes all slots of the pipeline out, oldest first: their connection is gone.
    mutating func takeSent() -> [Request] {
        defer { inFlight.removeAll() }
        return Array(inFlight)
    }

    mutating func takeUnsent() -> [Request] {
        defer { waiting.removeAll() }
        return waiting.filter { !$0.isAbandoned }
    }

    /// Requests whose deadline has passed, earliest first.
    func expired(at now: ContinuousClock.Instant) -> [Request] {
        live.values.filter { $0.deadline <= now }
            .sorted { ($0.deadline, $0.id.rawValue) < ($1.deadline, $1.id.rawValue) }
    }

    var earliestDeadline: ContinuousClock.Instant? {
        live.values.lazy.map(\.deadline).min()
    }
}
