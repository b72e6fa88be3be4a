import Reactor
import Synchronization
import TestSupport

extension Reactor {
    /// Runs `work` on the reactor and returns what it returns.
    func perform<Value: Sendable>(_ work: @escaping @Sendable () -> Value) async -> Value {
        await withCheckedContinuation { continuation in
            execute { continuation.resume(returning: work()) }
        }
    }

    /// How often the thread comes out of `poll` while the test sleeps. Real time is the subject here.
    func wakeUps(during interval: Duration) async throws -> UInt64 {
        let before = wakeUpCount
        try await Task.sleep(for: interval)  // sleep: what happens in an interval of real time is what is measured
        return wakeUpCount - before
    }
}

/// Makes a reactor, stops it afterwards and waits until its thread is gone.
func withReactor<Result>(
    isolation: isolated (any Actor)? = #isolation,
    _ body: (Reactor) async throws -> Result
) async throws -> Result {
    let reactor = try Reactor(name: "test")
    do {
        let result = try await body(reactor)
        await reactor.stopAndWait()
        return result
    } catch {
        await reactor.stopAndWait()
        throw error
    }
}

/// What happened, in order, as told from any thread; and a way to wait for it.
final class Record<Element: Sendable>: Sendable {
    private struct State {
        var elements: [Element] = []
        var waiter: (count: Int, continuation: CheckedContinuation<[Element], Never>)?
    }

    private let state = Mutex(State())

    var elements: [Element] { state.withLock { $0.elements } }

    func append(_ element: Element) {
        let (continuation, elements) = state.withLock { state in
            state.elements.append(element)
            guard let waiter = state.waiter, state.elements.count >= waiter.count else {
                return (nil as CheckedContinuation<[Element], Never>?, state.elements)
            }
            state.waiter = nil
            return (waiter.continuation, state.elements)
        }
        continuation?.resume(returning: elements)
    }

    /// Waits until so many were told. One task at a time.
    func wait(for count: Int) async -> [Element] {
        await withCheckedContinuation { continuation in
            let elements = state.withLock { state -> [Element]? in
                if state.elements.count >= count { return state.elements }
                precondition(state.waiter == nil, "One waiter at a time.")
                state.waiter = (count, continuation)
                return nil
            }
            if let elements { continuation.resume(returning: elements) }
        }
    }
}

/// Tells a record when it goes away.
final class Probe: Sendable {
    private let onDeinit: @Sendable () -> Void

    init(onDeinit: @escaping @Sendable () -> Void) {
        self.onDeinit = onDeinit
    }

    deinit {
        onDeinit()
    }
}

/// A readiness handler made of a closure. Guard: lives on the reactor's thread, like the watch it belongs to.
final class Handler: ReadinessHandler {
    private let action: (Readiness) -> Void

    init(_ action: @escaping (Readiness) -> Void) {
        self.action = action
    }

    func ready(_ readiness: Readiness) {
        action(readiness)
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

/// A pipe whose descriptors are so high that no other test's `open` gets their numbers when they are closed, nor another
/// test's pipe of this kind: each asks for numbers that none has had before it.
final class TestPipe: Sendable {
    let readEnd: CInt
    let writeEnd: CInt
    private let isOpen = Mutex<(read: Bool, write: Bool)>((true, true))

    private static let count = Atomic<CInt>(0)

    init() throws {
        let lowest = 600 + Self.count.wrappingAdd(2, ordering: .relaxed).oldValue % 400
        var ends: [CInt] = [-1, -1]
        guard pipe(&ends) == 0 else { throw TestSupportError("pipe") }
        readEnd = fcntl(ends[0], F_DUPFD_CLOEXEC, lowest)
        writeEnd = fcntl(ends[1], F_DUPFD_CLOEXEC, lowest)
        for end in ends { close(end) }
        guard readEnd >= 0, writeEnd >= 0 else { throw TestSupportError("F_DUPFD: errno \(errno)") }
    }

    deinit {
        closeReadEnd()
        closeWriteEnd()
    }

    func write() {
        var byte: UInt8 = 1
        _ = systemWrite(writeEnd, &byte, 1)
    }

    func read() {
        var byte: UInt8 = 0
        _ = systemRead(readEnd, &byte, 1)
    }

    func closeReadEnd() {
        isOpen.withLock { isOpen in
            if isOpen.read { close(readEnd) }
            isOpen.read = false
        }
    }

    func closeWriteEnd() {
        isOpen.withLock { isOpen in
            if isOpen.write { close(writeEnd) }
            isOpen.write = false
        }
    }
}

private func systemWrite(_ descriptor: CInt, _ bytes: UnsafeRawPointer, _ count: Int) -> Int {
    write(descriptor, bytes, count)
}

private func systemRead(_ descriptor: CInt, _ bytes: UnsafeMutableRawPointer, _ count: Int) -> Int {
    read(descriptor, bytes, count)
}
