import Foundation
import Hummingbird
import Reservations
import ServiceLifecycle

/// Tells listeners what has changed: at most once in a second for each item, whoever and whatever process changed it.
package actor ItemHub: Service {
    package enum Event: Sendable {
        /// A complete event, as it goes over the wire.
        case text(String)
        case heartbeat
    }

    private struct Watched {
        var states: [Bucket: BucketState] = [:]
        /// The item's version at which each bucket was seen to change.
        var changed: [Bucket: Int64] = [:]
        /// The version that was seen first: older listeners need everything.
        var since: Int64
        var version: Int64
        var listeners: [Int: AsyncStream<Event>.Continuation] = [:]
    }

    private let service: ReservationService
    private let maximumStreams: Int
    private let buffered: Int
    private let roundsPerHeartbeat: Int
    private var items: [String: Watched] = [:]
    private var streams = 0
    private var nextListener = 0
    private var isOver = false
    private static let interval: Duration = .seconds(1)

    init(service: ReservationService, limits: ServiceSettings.Limits) {
        self.service = service
        maximumStreams = limits.streams
        buffered = max(1, limits.bufferedEvents)
        roundsPerHeartbeat = max(1, Int(limits.heartbeat / Self.interval))
    }

    package var count: Int { streams }

    /// Begins with what has changed since `lastVersion`, or with everything.
    package func listen(to item: String, after lastVersion: Int64?) async throws -> AsyncStream<Event> {
        guard streams < maximumStreams, !isOver else { throw Problem(.tooManyStreams, retryAfter: .seconds(3)) }
        // Counted before anything is waited for, so that those who come together are not too many.
        streams += 1
        if items[item] == nil {
            let states: [BucketState]
            do {
                states = try await service.availability(of: item, limit: 10_000)
            } catch {
                streams -= 1
                throw error
            }
            guard !isOver else { throw Problem(.tooManyStreams, retryAfter: .seconds(3)) }
            let version = states.reduce(0) { $0 + $1.version }
            // Somebody may have been here in between.
            if items[item] == nil {
                items[item] = Watched(
                    states: Dictionary(states.map { ($0.bucket, $0) }) { $1 }, since: version, version: version)
            }
        }
        let (stream, continuation) = AsyncStream<Event>.makeStream(bufferingPolicy: .bufferingNewest(buffered))
        let number = nextListener
        nextListener += 1
        continuation.onTermination = { _ in Task { await self.leave(item, number) } }
        items[item]?.listeners[number] = continuation
        if let watched = items[item] { continuation.yield(.text(Self.greeting(item, watched, lastVersion))) }
        return stream
    }

    private func leave(_ item: String, _ number: Int) {
        guard items[item]?.listeners.removeValue(forKey: number) != nil else { return }
        streams -= 1
        // What nobody listens to is not looked at, and so is not known any more.
        if items[item]?.listeners.isEmpty == true { items[item] = nil }
    }

    package func run() async throws {
        await cancelWhenGracefulShutdown {
            var rounds = 0
            while !Task.isCancelled {
                rounds += 1
                await self.round(isHeartbeat: rounds % self.roundsPerHeartbeat == 0)
                try? await Task.sleep(for: Self.interval)
            }
        }
        close()
    }

    private func close() {
        isOver = true
        for watched in items.values {
            for listener in watched.listeners.values { listener.finish() }
        }
        items = [:]
        streams = 0
    }

    private func round(isHeartbeat: Bool) async {
        for item in items.keys.sorted() {
            // A store that is away has no news; the next round asks again.
            if let states = try? await service.availability(of: item, limit: 10_000) { publish(item, states) }
            if isHeartbeat { send(.heartbeat, to: item) }
        }
    }

    private func publish(_ item: String, _ states: [BucketState]) {
        guard var watched = items[item] else { return }
        let version = states.reduce(0) { $0 + $1.version }
        guard version > watched.version else { return }
        var changes: [BucketState] = []
        for state in states where watched.states[state.bucket] != state {
            watched.states[state.bucket] = state
            watched.changed[state.bucket] = version
            changes.append(state)
        }
        watched.version = version
        items[item] = watched
        send(.text(Self.event("delta", item, watched, changes)), to: item)
    }

    private func send(_ event: Event, to item: String) {
        for listener in (items[item]?.listeners ?? [:]).values {
            if case .dropped = listener.yield(event) { listener.finish() }
        }
    }

    // MARK: Events as text

    private static func greeting(_ item: String, _ watched: Watched, _ lastVersion: Int64?) -> String {
        let sorted = watched.states.values.sorted { $0.bucket < $1.bucket }
        guard let lastVersion, lastVersion >= watched.since, lastVersion <= watched.version else {
            return event("state", item, watched, sorted)
        }
        return event("delta", item, watched, sorted.filter { watched.changed[$0.bucket, default: 0] > lastVersion })
    }

    private static func event(
        _ name: String, _ item: String, _ watched: Watched, _ changes: [BucketState]
    ) -> String {
        let states = watched.states.values
        let (capacity, held, sold) = states.reduce((0, 0, 0)) { ($0.0 + $1.capacity, $0.1 + $1.held, $0.2 + $1.sold) }
        let data = JSON.members([
            ("item", .string(item)), ("version", .int(watched.version)), ("capacity", .int(capacity)),
            ("held", .int(held)), ("sold", .int(sold)), ("available", .int(capacity - held - sold)),
            ("serverTime", .time(Date())), ("buckets", ItemSnapshot.json(changes)),
        ])
        return "event: \(name)\nid: \(watched.version)\ndata: \(data.text)\n\n"
    }
}

extension Response {
    /// Events as they come, until the stream ends.
    static func events(_ stream: AsyncStream<ItemHub.Event>) -> Response {
        let body = ResponseBody { writer in
            // At once, so that a browser knows that it is connected.
            try await writer.write(ByteBuffer(string: "retry: 2000\n\n"))
            for await event in stream {
                switch event {
                case .text(let text): try await writer.write(ByteBuffer(string: text))
                case .heartbeat: try await writer.write(ByteBuffer(string: ": still here\n\n"))
                }
            }
            try await writer.finish(nil)
        }
        return Response(
            status: .ok,
            headers: [.contentType: "text/event-stream", .cacheControl: "no-store", .xAccelBuffering: "no"], body: body)
    }
}
