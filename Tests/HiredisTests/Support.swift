import Dispatch
import Reactor
import Synchronization
import TestSupport
import Testing

@testable import Hiredis

extension RedisClient {
    /// Looks at, or does something to, the connection beneath, on the Reactor.
    func withConnection<Value: Sendable>(_ body: @Sendable (RedisConnection) -> Value) -> Value {
        body(connection)
    }

    func command(_ arguments: String...) async throws -> RedisValue {
        try await run(RedisCommand(arguments: arguments.map { Array($0.utf8) }))
    }

    func run(_ command: RedisCommand) async throws -> RedisValue {
        try await self.command(command, timeout: .seconds(20))
    }

    /// The error that a command ends with.
    func failure(of arguments: String..., timeout: Duration = .seconds(20)) async -> RedisError? {
        do throws(RedisError) {
            let command = RedisCommand(arguments: arguments.map { Array($0.utf8) })
            _ = try await self.command(command, timeout: timeout)
            return nil
        } catch {
            return error
        }
    }

    /// Waits, over the Reactor's turns, until so many commands are under way.
    func waitForPending(_ count: Int) async throws {
        while withConnection({ $0.pendingCount }) < count {
            try Task.checkCancellation()
            await Task.yield()
        }
    }

    /// Records each change of health from now on; in place of ``healthChanges()``, which may skip some.
    func recordHealth() -> Record<RedisHealth> {
        let record = Record<RedisHealth>()
        connection.onHealthChange = { record.append($0) }
        return record
    }

    /// Waits for a health that `predicate` accepts.
    @discardableResult
    func waitForHealth(_ predicate: (RedisHealth) -> Bool) async -> RedisHealth? {
        for await health in healthChanges() where predicate(health) { return health }
        return nil
    }
}

extension Result {
    var error: Failure? { if case .failure(let error) = self { error } else { nil } }
}

extension RedisHealth {
    var isReady: Bool { self == .ready }
    var isIdle: Bool { self == .idle }
    var isRefused: Bool { if case .refused = self { true } else { false } }
    var reason: RedisError? {
        switch self {
        case .backingOff(_, let error), .refused(let error): error
        case .idle, .connecting, .ready, .closed: nil
        }
    }
    var isBackingOff: Bool { if case .backingOff = self { true } else { false } }
}

/// A configuration without surprises: quick back-offs, and a handshake that is a lone `PING`.
func testConfiguration(_ change: (inout RedisConfiguration) -> Void = { _ in }) -> RedisConfiguration {
    var configuration = RedisConfiguration()
    configuration.clientName = nil
    configuration.connectTimeout = .seconds(20)
    configuration.stallBound = .seconds(20)
    configuration.backOffBase = .milliseconds(1)
    configuration.backOffCeiling = .milliseconds(20)
    change(&configuration)
    return configuration
}

/// Makes a client with a Reactor of its own, and closes it.
func withClient<Result>(
    _ url: String,
    _ configuration: RedisConfiguration = testConfiguration(),
    preamble: RedisPreamble = .none,
    lookup: @escaping Resolver.Lookup = Resolver.systemLookup,
    isolation: isolated (any Actor)? = #isolation,
    _ body: (RedisClient) async throws -> Result
) async throws -> Result {
    let client = try RedisClient(
        url: RedisURL(url), configuration: configuration, preamble: preamble, reactor: nil, lookup: lookup)
    do {
        let result = try await body(client)
        await client.close(timeout: .zero)
        return result
    } catch {
        await client.close(timeout: .zero)
        throw error
    }
}

extension FakePeerConnection {
    /// Answers the lone `PING` of the handshake.
    func shakeHands() throws {
        _ = try readCommand()
        try send("+PONG\r\n")
    }

    /// Answers the handshake, waits for one command, and says `bytes`; then listens until the client goes.
    func answerOnce(_ bytes: String) throws {
        try shakeHands()
        _ = try readCommand()
        try send(bytes)
        try hang()
    }
}

extension Reactor {
    /// Runs `work` on the reactor and returns what it returns.
    func perform<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            execute { continuation.resume(returning: work()) }
        }
    }
}

/// What happened, in order, as told from any thread; and a way to wait for it.
final class Record<Element: Sendable>: Sendable {
    private let elementsSoFar = Mutex<[Element]>([])
    private let stream: AsyncStream<Void>
    private let signal: AsyncStream<Void>.Continuation

    init() {
        (stream, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    }

    var elements: [Element] { elementsSoFar.withLock { $0 } }

    func append(_ element: Element) {
        elementsSoFar.withLock { $0.append(element) }
        signal.yield()
    }

    /// Waits until `predicate` holds for all that was told. One task at a time.
    @discardableResult
    func wait(until predicate: ([Element]) -> Bool) async -> [Element] {
        if predicate(elements) { return elements }
        for await _ in stream where predicate(elements) { break }
        return elements
    }
}

/// A gate that one side opens and the other waits at: a thread, blocking, or a task.
final class Gate: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation
    private let semaphore = DispatchSemaphore(value: 0)

    init() {
        (stream, continuation) = AsyncStream.makeStream(of: Void.self)
    }

    func open() {
        semaphore.signal()
        continuation.finish()
    }

    func wait() async {
        for await _ in stream {}
    }

    /// For a fake peer's thread, which may block.
    func waitBlocking() {
        semaphore.wait()
        // For whoever waits besides.
        semaphore.signal()
    }
}

/// Carries what belongs to the reactor's thread from one piece of work there to the next.
///
/// Guard: `value` is touched on the reactor's thread only; the reactor orders the pieces of work.
final class OnReactor<Value>: @unchecked Sendable {
    var value: Value

    init(_ value: Value) {
        self.value = value
    }
}
