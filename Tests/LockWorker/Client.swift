import Hiredis
import RedisLocks
import RedisLocksTesting
import TestSupport

/// What every mode has in common: where the nodes are, how locks behave, and where the history goes.
struct Client {
    let name: String
    let names: [String]
    let nodes: LockNodes
    let configuration: RedisLocks.Configuration
    let recorder: HistoryRecorder
    let wait: Wait

    init(_ arguments: Arguments) throws {
        name = try arguments.string("client")
        names = arguments.all("name")
        let isDurable = arguments.isSet("durable")
        let urls = arguments.all("node")
        nodes =
            urls.count == 1
            ? .node(urls[0], isDurable: isDurable) : .redlock(urls.map { LockNodes.Node($0, isDurable: isDurable) })
        var configuration = RedisLocks.Configuration()
        configuration.ttl = try arguments.milliseconds("ttl", default: 2000)
        configuration.maximumTTL = try arguments.milliseconds("maximum-ttl", default: 2000)
        configuration.nodeTimeout = try arguments.milliseconds("node-timeout", default: 300)
        configuration.clientName = name
        self.configuration = configuration
        wait = .upTo(try arguments.milliseconds("wait", default: 60_000))
        let log = try LineFile(arguments.string("history"))
        recorder = HistoryRecorder(firstID: try arguments.number("first-id", default: 0)) { log.append($0) }
    }
}

/// A file to which lines are appended, each in one write: whoever reads it sees whole lines but for the last.
final class LineFile: Sendable {
    private let descriptor: CInt

    init(_ path: String) throws {
        descriptor = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw TestSupportError("Cannot write \(path).") }
    }

    deinit { close(descriptor) }

    func append(_ line: String) {
        let bytes = Array("\(line)\n".utf8)
        _ = write(descriptor, bytes, bytes.count)
    }
}

/// A counter in a Redis server of its own, which checks fencing tokens if it is asked to, and numbers what it executes.
struct CounterStore {
    struct Answer {
        let isAccepted: Bool
        let order: Int64
        let value: Int64
    }

    private let client: RedisClient
    private let isFenced: Bool

    /// KEYS: fence, value, order. ARGV: operation, token, value to write, whether to check.
    private static let script = RedisScript(
        source: """
            local order = redis.call('INCR', KEYS[3])
            local fence = tonumber(redis.call('GET', KEYS[1]) or '0')
            local token = tonumber(ARGV[2])
            local value = redis.call('GET', KEYS[2]) or '0'
            if ARGV[4] == '1' and token < fence then return {0, order, value} end
            if ARGV[1] ~= 'read' and token > fence then redis.call('SET', KEYS[1], ARGV[2]) end
            if ARGV[1] == 'write' then redis.call('SET', KEYS[2], ARGV[3]) end
            return {1, order, value}
            """)

    init(_ url: String, isFenced: Bool) throws {
        client = try RedisClient(url: RedisURL(url))
        self.isFenced = isFenced
    }

    func close() async { await client.close(timeout: .seconds(5)) }

    func perform(_ kind: String, token: Int64, value: Int64 = 0) async throws -> Answer {
        let reply = try await client.evaluate(
            Self.script, keys: ["fence", "value", "order"],
            arguments: [kind, "\(token)", "\(value)", isFenced ? "1" : "0"], timeout: .seconds(60))
        guard let parts = reply.array, parts.count == 3, let accepted = parts[0].integer, let order = parts[1].integer,
            let value = parts[2].string.flatMap({ Int64($0) })
        else { throw TestSupportError("The store answers nonsense: \(reply).") }
        return Answer(isAccepted: accepted == 1, order: order, value: value)
    }
}

extension CounterStore {
    /// Asks the store, and tells the history what it did.
    func perform(
        _ kind: String, value: Int64 = 0, by client: Client, under lease: Lease, _ operation: Int
    ) async throws -> Answer {
        let answer = try await perform(kind, token: lease.fencingToken, value: value)
        let event: StoreEvent.Kind =
            switch kind {
            case "claim": .claim
            case "read": .read(answer.value)
            default: .write(value)
            }
        client.recorder.store(
            StoreEvent(
                at: answer.order, key: "counter", client: client.name, operation: operation, token: lease.fencingToken,
                kind: event, accepted: answer.isAccepted))
        return answer
    }
}
