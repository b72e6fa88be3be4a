import Reservations
import ServiceLifecycle

/// Tells those who wait in a line how it moves. While somebody listens, he counts as present.
actor LineHub: Service {
    private let maximumStreams: Int
    private let heartbeat: Duration
    private var listeners: [Int: AsyncStream<ItemHub.Event>.Continuation] = [:]
    private var nextListener = 0
    private var isOver = false
    /// Only the last standing is of interest, and the decision comes last.
    private static let buffered = 2

    init(limits: ServiceSettings.Limits) {
        maximumStreams = limits.streams
        heartbeat = limits.heartbeat
    }

    var count: Int { listeners.count }

    /// Ends with the decision.
    func listen(
        to ticket: Ticket, as text: @escaping @Sendable (TicketUpdate) -> String
    ) throws -> AsyncStream<ItemHub.Event> {
        guard listeners.count < maximumStreams, !isOver else {
            throw Problem(.tooManyStreams, retryAfter: .seconds(3))
        }
        let (stream, continuation) = AsyncStream<ItemHub.Event>.makeStream(
            bufferingPolicy: .bufferingNewest(Self.buffered))
        let number = nextListener
        nextListener += 1
        listeners[number] = continuation
        let task = Task {
            for await update in ticket.updates { continuation.yield(.text(text(update))) }
            continuation.finish()
        }
        continuation.onTermination = { _ in
            task.cancel()
            Task { await self.leave(number) }
        }
        return stream
    }

    private func leave(_ number: Int) { listeners[number] = nil }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try? await Task.sleep(for: self.heartbeat)
                await self.beat()
            }
        }
        isOver = true
        for listener in listeners.values { listener.finish() }
        listeners = [:]
    }

    private func beat() {
        for listener in listeners.values { listener.yield(.heartbeat) }
    }
}
