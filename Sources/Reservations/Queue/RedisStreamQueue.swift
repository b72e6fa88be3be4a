import Hiredis
import Logging
import Reactor
import Synchronization

/// A queue on Redis Streams (Redis 6.2 or newer): one stream for each partition, on one server.
///
/// It is not the authority, the store is: a Redis that loses its data costs those who wait some time, and their order as far as
/// it was not written down yet. With an append-only file little of that is lost. No consumer groups: the position of a
/// partition is kept in the store, with the decisions; and streams are trimmed by position (`XTRIM MINID`), never by length.
///
/// The server must not evict keys (`maxmemory-policy noeviction`).
public final class RedisStreamQueue: ReservationQueue {
    /// How the queue uses its server.
    public struct Configuration: Sendable {
        /// Put before the names of all keys and channels. No braces. Default `rsv:q:`.
        public var prefix = "rsv:q:"
        /// How long a command may take: 10 ms ... 60 s. Default 2 s.
        public var timeout: Duration = .seconds(2)
        /// Allows a password to be sent without encryption to a host that is not this machine. Default `false`.
        public var unsafeAllowPlaintextPasswords = false

        /// The defaults.
        public init() {}
    }

    private let url: RedisURL
    private let configuration: Configuration
    private let reactor: Reactor
    private let client: RedisClient
    private let channels: QueueChannels
    /// `nil` when it was closed.
    private let readers = Mutex<[Int: RedisClient]?>([:])
    private let clock = Mutex(ServerClock())

    /// Makes a queue. It connects with the first request; ``close()`` ends it.
    ///
    /// - Parameters:
    ///   - url: such as `redis://localhost:6379`.
    ///   - configuration: see ``Configuration``.
    ///   - logger: where it is told when the server refuses announcements, without which lines move slowly.
    /// - Throws: ``QueueError/Code/misconfigured`` for a URL or a configuration that cannot work.
    public init(
        _ url: String, configuration: Configuration = Configuration(),
        logger: Logger = Logger(label: "reservations", factory: { _ in SwiftLogNoOpLogHandler() })
    ) throws(QueueError) {
        guard !configuration.prefix.contains(where: { $0 == "{" || $0 == "}" }) else {
            throw QueueError(.misconfigured, "`prefix` must not contain braces.")
        }
        guard configuration.timeout >= .milliseconds(10), configuration.timeout <= .seconds(60) else {
            throw QueueError(.misconfigured, "`timeout` must be from 10 ms to 60 s.")
        }
        self.configuration = configuration
        do throws(ReactorError) {
            reactor = try Reactor()
        } catch {
            throw QueueError(.misconfigured, "No queue can be made: \(error); raise the limit of open files.")
        }
        do throws(RedisError) {
            self.url = try RedisURL(url)
            client = try RedisClient(url: self.url, configuration: Self.connection(configuration), reactor: reactor)
        } catch {
            reactor.stop()
            throw QueueError(.misconfigured, error.message)
        }
        channels = QueueChannels(
            url: self.url, configuration: Self.connection(configuration), reactor: reactor, logger: logger)
    }

    private static func connection(_ configuration: Configuration) -> RedisConfiguration {
        var connection = RedisConfiguration()
        connection.clientName = "reservation-queue"
        connection.unsafeAllowPlaintextPasswords = configuration.unsafeAllowPlaintextPasswords
        return connection
    }

    // MARK: Entries

    /// See ``ReservationQueue/append(_:to:)``.
    public func append(_ requests: [RequestName], to partition: Int) async throws(QueueError) {
        let key = key(partition)
        _ = try await pipeline(requests.map { RedisCommand("XADD", key, "*", "c", $0.caller, "k", $0.key) })
    }

    /// See ``ReservationQueue/read(_:after:limit:wait:)``. On a connection of its own, for it blocks. What somebody else has
    /// written into the stream is passed over.
    public func read(
        _ partition: Int, after position: QueuePosition, limit: Int, wait: Duration
    ) async throws(QueueError) -> [QueueEntry] {
        var position = position
        while true {
            let (last, entries) = try await readOnce(partition, after: position, limit: limit, wait: wait)
            guard let last, entries.isEmpty else { return entries }
            position = last
        }
    }

    /// The entries of ours, and where the last of all stands that were read.
    private func readOnce(
        _ partition: Int, after position: QueuePosition, limit: Int, wait: Duration
    ) async throws(QueueError) -> (last: QueuePosition?, [QueueEntry]) {
        let wait = min(max(wait, .milliseconds(1)), .seconds(60))
        let command = RedisCommand(
            "XREAD", "COUNT", "\(min(max(limit, 1), Self.maximumRead))", "BLOCK", "\(Int64(wait / .milliseconds(1)))",
            "STREAMS", key(partition), "\(position)")
        let reply: RedisValue
        do throws(RedisError) {
            reply = try await reader(of: partition).command(command, timeout: wait + configuration.timeout)
        } catch {
            throw QueueError(error)
        }
        if reply.isNull { return (nil, []) }
        if let error = reply.serverError { throw QueueError(error) }
        guard let streams = reply.array, streams.count == 1, let stream = streams[0].array, stream.count == 2,
            let entries = stream[1].array
        else { throw .nonsense }
        guard let last = entries.last?.array?.first?.string.flatMap(QueuePosition.init) else { throw .nonsense }
        return (last, entries.compactMap(Self.entry))
    }

    /// More than that would not fit into the limits of a reply.
    private static let maximumRead = 500

    private static func entry(_ value: RedisValue) -> QueueEntry? {
        guard let parts = value.array, parts.count == 2, let position = parts[0].string.flatMap(QueuePosition.init),
            let fields = parts[1].array, fields.count >= 4, fields[0].string == "c", let caller = fields[1].string,
            fields[2].string == "k", let key = fields[3].string
        else { return nil }
        return QueueEntry(position: position, request: RequestName(caller: caller, key: key))
    }

    /// Made under the lock: whoever closes the queue finds all there are.
    private func reader(of partition: Int) throws(RedisError) -> RedisClient {
        try readers.withLock { (readers) throws(RedisError) in
            guard let all = readers else { throw RedisError(.closed, "The queue was closed.") }
            if let known = all[partition] { return known }
            let made = try RedisClient(url: url, configuration: Self.connection(configuration), reactor: reactor)
            readers?[partition] = made
            return made
        }
    }

    /// See ``ReservationQueue/lastPosition(of:)``.
    public func lastPosition(of partition: Int) async throws(QueueError) -> QueuePosition? {
        let reply: RedisValue
        do throws(RedisError) {
            reply = try await client.command(
                RedisCommand("XINFO", "STREAM", key(partition)), timeout: configuration.timeout)
        } catch {
            throw QueueError(error)
        }
        if let error = reply.serverError {
            if error.message.contains("no such key") { return nil }
            throw QueueError(error)
        }
        guard let fields = reply.array, let name = fields.firstIndex(where: { $0.string == "last-generated-id" }),
            fields.indices.contains(name + 1), let position = fields[name + 1].string.flatMap(QueuePosition.init)
        else { throw .nonsense }
        return position
    }

    /// See ``ReservationQueue/trim(_:served:)``.
    public func trim(_ partition: Int, served entries: [QueueEntry]) async throws(QueueError) {
        guard let last = entries.map(\.position).max() else { return }
        // What is below is forgotten: one more than the last.
        let limit = QueuePosition(last.major, last.minor == .max ? .max : last.minor + 1)
        var gone = RedisCommand(verb: "ZREM")
        gone.append(presenceKey(partition))
        for entry in entries { gone.append(Self.member(entry.request)) }
        _ = try await pipeline([RedisCommand("XTRIM", key(partition), "MINID", "\(limit)"), gone])
    }

    /// See ``ReservationQueue/bury(_:of:reason:)``: in the stream `{PREFIX PARTITION}:dead`.
    public func bury(_ request: RequestName, of partition: Int, reason: String) async throws(QueueError) {
        _ = try await pipeline([
            RedisCommand(
                "XADD", "\(key(partition)):dead", "MAXLEN", "~", "10000", "*", "c", request.caller, "k", request.key,
                "reason", reason)
        ])
    }

    // MARK: Announcements

    /// See ``ReservationQueue/announce(_:of:)``.
    public func announce(_ progress: QueueProgress, of partition: Int) async throws(QueueError) {
        let microseconds = Int64(progress.took / .microseconds(1))
        _ = try await pipeline([
            RedisCommand("PUBLISH", channel(partition), "\(progress.served) \(progress.decided) \(microseconds)")
        ])
    }

    /// See ``ReservationQueue/announcements(of:)``.
    public func announcements(of partition: Int) async -> AsyncStream<QueueProgress> {
        await channels.announcements(on: channel(partition))
    }

    // MARK: Presence

    /// See ``ReservationQueue/touch(_:in:)``.
    public func touch(_ requests: [RequestName], in partition: Int) async throws(QueueError) {
        guard !requests.isEmpty else { return }
        let now = try await time()
        var command = RedisCommand(verb: "ZADD")
        command.append(presenceKey(partition))
        for request in requests {
            command.append(now)
            command.append(Self.member(request))
        }
        // Those who were decided while they were touched would stay for ever. Nobody asks for longer ago than a day.
        let forgotten = RedisCommand(
            "ZREMRANGEBYSCORE", presenceKey(partition), "-inf", "(\(now - Self.presenceKept)")
        _ = try await pipeline([
            command, forgotten, RedisCommand("PEXPIRE", presenceKey(partition), "\(Self.presenceKept)"),
        ])
    }

    /// Two days, in milliseconds.
    private static let presenceKept: Int64 = 172_800_000

    /// See ``ReservationQueue/silent(among:of:for:)``.
    public func silent(
        among entries: [QueueEntry], of partition: Int, for silence: Duration
    ) async throws(QueueError) -> Set<RequestName> {
        guard let oldest = entries.map(\.position.major).min() else { return [] }
        // Nobody came that long ago: as good as always, and not worth a question.
        if let now = clock.withLock({ $0.estimate(at: .now, within: silence / 4) }),
            oldest > UInt64(clamping: now - Int64(silence / .milliseconds(2)))
        {
            return []
        }
        var command = RedisCommand(verb: "ZMSCORE")
        command.append(presenceKey(partition))
        for entry in entries { command.append(Self.member(entry.request)) }
        let replies = try await pipeline([RedisCommand("TIME"), command])
        guard replies.count == 2, let now = Self.time(replies[0]), let scores = replies[1].array,
            scores.count == entries.count
        else { throw .nonsense }
        let isSteady = clock.withLock { clock in
            clock.note(now, at: .now, tolerance: silence / 2)
            return clock.isSteady(for: silence, at: .now)
        }
        // By a clock that has jumped forward, all were touched long ago.
        guard isSteady else { return [] }
        let limit = Double(now - Int64(silence / .milliseconds(1)))
        let silent = zip(entries, scores).filter { entry, score in
            let touched = score.string.flatMap { Double($0) } ?? 0
            return max(touched, Double(entry.position.major)) < limit
        }
        return Set(silent.map(\.0.request))
    }

    /// The server's clock, by which its entries are numbered, in milliseconds.
    private func time() async throws(QueueError) -> Int64 {
        guard let now = try await pipeline([RedisCommand("TIME")]).first.flatMap(Self.time) else { throw .nonsense }
        return now
    }

    private static func time(_ reply: RedisValue) -> Int64? {
        guard let parts = reply.array, parts.count == 2, let seconds = parts[0].integer,
            let microseconds = parts[1].integer
        else { return nil }
        return seconds * 1_000 + microseconds / 1_000
    }

    // MARK: Within

    /// Neither of the two can hold a line break.
    private static func member(_ request: RequestName) -> String { "\(request.caller)\n\(request.key)" }

    /// In braces, so that all of a partition is in one slot of a cluster.
    private func key(_ partition: Int) -> String { "{\(configuration.prefix)\(partition)}" }

    private func presenceKey(_ partition: Int) -> String { "\(key(partition)):seen" }

    private func channel(_ partition: Int) -> String { "\(key(partition)):served" }

    private func pipeline(_ commands: [RedisCommand]) async throws(QueueError) -> [RedisValue] {
        var replies: [RedisValue] = []
        for result in await client.pipeline(commands, timeout: configuration.timeout) {
            switch result {
            case .failure(let error): throw QueueError(error)
            case .success(.error(let error)): throw QueueError(error)
            case .success(let reply): replies.append(reply)
            }
        }
        return replies
    }

    /// See ``ReservationQueue/close()``.
    public func close() async {
        let readers = readers.withLock { readers in
            defer { readers = nil }
            return (readers ?? [:]).map(\.value)
        }
        for reader in readers { await reader.close(timeout: .zero) }
        await channels.close()
        await client.close(timeout: configuration.timeout)
        await reactor.stopAndWait()
    }
}

extension QueueError {
    fileprivate init(_ error: RedisError) {
        let code: Code =
            switch error.code {
            case .cancelled: .cancelled
            case .closed: .closed
            default: error.isPermanent ? .misconfigured : .unavailable
            }
        self.init(code, error.message)
    }

    fileprivate init(_ error: RedisServerError) {
        let isUnknown = error.message.contains("unknown command") || error.message.contains("syntax error")
        let advice = isUnknown ? " Redis 6.2 or newer is needed." : ""
        self.init(
            isUnknown || error.outcome == .misconfigured ? .misconfigured : .unavailable,
            "The queue's server refused a command: \(error.message).\(advice)")
    }

    fileprivate static let nonsense = QueueError(
        .misconfigured, "The queue's server holds entries that this version has not written.")
}
