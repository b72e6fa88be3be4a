import Reactor
import RedisLocks
import Synchronization

/// A Redis server that lives in this process: it knows the lock scripts, keeps time by the test's clock, and fails on
/// demand.
///
/// What it is told here holds for the next request. May be used from any thread.
public final class InMemoryServer: Sendable {
    struct State {
        var redis: InMemoryRedis
        var faults = FaultPlan()
        var isPaused = false
        var isWanted = false
        var clockOffset: Duration = .zero
        var isDurable = false
        var restarts = 0
        var received: [RequestKind: Int] = [:]
        /// How often a holder was told that a name is not its own any more.
        var dispossessed: [LockName: Int] = [:]
    }

    /// The address that errors and logs show: `memory://0`.
    public let label: String
    let time: ManualTime
    private let index: Int
    private let start: ContinuousClock.Instant
    private let state: Mutex<State>
    /// Guard: touched on the reactor only.
    nonisolated(unsafe) private var connections: [InMemoryNode] = []

    /// The wall clock of every server at the beginning of a test: 1 January 2026, so that tokens are the same every time.
    private static let epoch: Int64 = 1_767_225_600_000_000
    /// The value under which ``hold(_:for:)`` holds names. No owner value of ours looks like it.
    private static let stranger = Array("somebody else".utf8)

    /// - Parameter isInitialized: it has been told that it is new, so that it votes at once where the restart guard is on.
    init(index: Int, time: ManualTime, isInitialized: Bool) {
        self.index = index
        label = "memory://\(index)"
        self.time = time
        start = time.now
        var redis = InMemoryRedis(runID: Self.runID(server: index, start: 0))
        if isInitialized { _ = redis.execute(.initialize(isForced: true), at: WallTime(microseconds: Self.epoch)) }
        state = Mutex(State(redis: redis))
    }

    private static func runID(server: Int, start: Int) -> [UInt8] {
        let digits = String(server * 1_000_000 + start, radix: 16)
        return Array((String(repeating: "0", count: max(0, 40 - digits.count)) + digits).utf8)
    }

    // MARK: Faults

    /// Makes requests fail.
    ///
    /// Faults that fit the same request are used in the order in which they were injected.
    ///
    /// - Parameters:
    ///   - fault: what happens.
    ///   - kinds: to which requests; to all of them by default.
    ///   - times: to how many of them; until ``heal()`` by default.
    public func inject(_ fault: Fault, into kinds: Set<RequestKind> = Set(RequestKind.allCases), times: Int? = nil) {
        state.withLock { _ = $0.faults.add(fault, kinds: kinds, times: times) }
    }

    /// Ends every fault and a pause.
    public func heal() {
        state.withLock { $0.faults.clear() }
        resume()
    }

    /// The server stands still, as after SIGSTOP: requests queue up, and are executed in order when it goes on, however
    /// long ago their senders gave up.
    public func pause() {
        state.withLock { $0.isPaused = true }
    }

    /// Ends a ``pause()``.
    public func resume() {
        let wasPaused = state.withLock { state in
            defer { state.isPaused = false }
            return state.isPaused
        }
        guard wasPaused else { return }
        time.reactor.execute { [self] in
            for connection in connections { connection.drain() }
        }
    }

    /// The server restarts without persistence: every lock and every fencing counter is gone, connections break, and it
    /// has a new `run_id`.
    public func forgetEverything() {
        restart { $0.flush() }
    }

    /// The server restarts and has kept its data: connections break, and it has a new `run_id`.
    public func restart() {
        restart { _ in }
    }

    private func restart(_ body: (inout InMemoryRedis) -> Void) {
        state.withLock { state in
            state.restarts += 1
            state.redis.runID = Self.runID(server: index, start: state.restarts)
            body(&state.redis)
        }
        time.reactor.execute { [self] in
            for connection in connections { connection.breakConnection() }
        }
    }

    /// Whether the client takes it for a server with `appendfsync always`, whose ``restart()`` costs no quarantine where the
    /// restart guard is on.
    public var isDurable: Bool {
        get { state.withLock { $0.isDurable } }
        set { state.withLock { $0.isDurable = newValue } }
    }

    /// Moves the server's wall clock, by which its keys expire, away from everybody else's.
    public func stepClock(by duration: Duration) {
        state.withLock { $0.clockOffset += duration }
    }

    // MARK: Locks

    /// Somebody else, who does not know fencing tokens, takes the name, whoever held it: `SET name value PX duration`.
    ///
    /// - Parameters:
    ///   - name: the lock's name.
    ///   - duration: until it expires; `nil` for never.
    public func hold(_ name: String, for duration: Duration? = nil) {
        let name = Self.checked(name)
        withRedis { redis, now in
            let expiry = duration.map { now.milliseconds + $0.milliseconds }
            redis.set(name.bytes, to: InMemoryRedis.Entry(.string(Self.stranger), expiry: expiry))
        }
    }

    /// The name's key vanishes before its time, whoever holds it. The fencing counter stays.
    public func expire(_ name: String) {
        let name = Self.checked(name)
        withRedis { redis, now in _ = redis.delete(name.bytes, at: now) }
    }

    /// Whether anybody holds the name here.
    public func isHeld(_ name: String) -> Bool {
        let name = Self.checked(name)
        return withRedis { redis, now in redis.entry(name.bytes, at: now) != nil }
    }

    /// The greatest fencing token that this server remembers for the name.
    public func fence(of name: String) -> Int64? {
        let name = Self.checked(name)
        return withRedis { redis, now in
            guard case .string(let digits) = redis.entry(name.fenceKey, at: now)?.value else { return nil }
            return Int64(String(decoding: digits, as: UTF8.self))
        }
    }

    /// How many requests of a kind have reached this server or one of its faults.
    public func requestCount(_ kind: RequestKind) -> Int {
        state.withLock { $0.received[kind] ?? 0 }
    }

    /// Waits until that many requests of a kind have come since the beginning. Returns early when the task is cancelled.
    public func waitForRequests(_ kind: RequestKind, count: Int = 1) async {
        await time.changes.wait { [self] in requestCount(kind) >= count }
    }

    private static func checked(_ name: String) -> LockName {
        do {
            return try LockName(name)
        } catch {
            preconditionFailure(error.message)
        }
    }
}

// MARK: - For the bed and the tests of this package

extension InMemoryServer {
    /// Looks at or changes the keys. The change is seen by whoever waits.
    @discardableResult
    package func withRedis<Result>(_ body: (inout InMemoryRedis, WallTime) -> Result) -> Result {
        defer { time.changes.notify() }
        return state.withLock { state in body(&state.redis, wallTime(state)) }
    }

    /// Whether a connection is to be kept up.
    package var isWanted: Bool { state.withLock { $0.isWanted } }

    /// The name's remaining time if somebody holds it who speaks our protocol.
    func remainingOfClient(_ name: LockName) -> Duration? {
        state.withLock { state in
            let now = wallTime(state)
            guard let entry = state.redis.entry(name.bytes, at: now), entry.value != .string(Self.stranger) else {
                return nil
            }
            return .milliseconds(state.redis.remaining(name.bytes, at: now))
        }
    }

    func dispossessions(of name: LockName) -> Int {
        state.withLock { $0.dispossessed[name] ?? 0 }
    }

    /// Until ``removeFault(_:)``.
    func inject(_ fault: Fault, into kind: RequestKind, of name: LockName) -> UInt64 {
        state.withLock { $0.faults.add(fault, kinds: [kind], name: name, times: nil) }
    }

    func removeFault(_ id: UInt64) {
        state.withLock { $0.faults.remove(id) }
    }

    var wallTime: WallTime { state.withLock { wallTime($0) } }

    private func wallTime(_ state: borrowing State) -> WallTime {
        let (seconds, attoseconds) = (time.now - start + state.clockOffset).components
        return WallTime(microseconds: Self.epoch + seconds * 1_000_000 + attoseconds / 1_000_000_000_000)
    }

    // MARK: For its connections, on the reactor

    func connect() -> InMemoryNode {
        let node = InMemoryNode(server: self)
        connections.append(node)
        return node
    }

    func disconnect(_ node: InMemoryNode) {
        connections.removeAll { $0 === node }
    }

    func setWanted(_ isWanted: Bool) {
        state.withLock { $0.isWanted = isWanted }
    }

    /// Notes the arrival of a request. Returns whether the server stands still.
    func receive(_ request: NodeRequest) -> Bool {
        defer { time.changes.notify() }
        return state.withLock { state in
            state.received[request.kind, default: 0] += 1
            return state.isPaused
        }
    }

    func takeFault(for request: NodeRequest) -> Fault? {
        state.withLock { $0.faults.take(for: request) }
    }

    func execute(_ request: NodeRequest) -> NodeResponse {
        defer { time.changes.notify() }
        return state.withLock { state in
            let response = state.redis.execute(request, at: wallTime(state))
            if request.kind == .extend, response == .reply(.notOurs) {
                for name in request.names { state.dispossessed[name, default: 0] += 1 }
            }
            return response
        }
    }
}
