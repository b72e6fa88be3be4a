import Hiredis
import Synchronization

/// A scripted lock node: it connects like a Redis server, and answers the lock's scripts as the test says.
///
/// What no real server can be brought to do at a given moment: every error word, a reply that breaks off, one that is late.
package final class FakeLockNode: Sendable {
    /// The scripts, in the order in which a lock client loads them.
    package enum Script: Int, Sendable {
        case acquire, confirm, extend, release
    }

    /// A script that a client asked for.
    package struct Request: Sendable, Equatable {
        package let script: Script
        package let owner: String
        /// 1 for the node's first connection.
        package let connection: Int
        /// EVAL rather than EVALSHA.
        package let isBySource: Bool
    }

    package enum Answer: Sendable {
        /// These bytes.
        case bytes(String)
        case error(String)
        /// These bytes, but not before the next request on the same connection has come.
        case late(String)
        /// The beginning of a reply, then the end of the stream.
        case endOfFile
        /// The request is read, then the connection is reset.
        case reset
    }

    /// Gets the request and how many of the same script came before it.
    package typealias Behaviour = @Sendable (Request, Int) -> Answer

    package struct Options: Sendable {
        package var version = "7.0.15"
        package var role = "master"
        /// What the first connections hear instead of an answer to their first command; each of them is closed then.
        package var turnsAway: [String] = []

        package init() {}
    }

    private let log: FakeLockLog
    private let peer: FakePeer

    package init(_ options: Options = Options(), _ behaviour: @escaping Behaviour) throws {
        let log = FakeLockLog()
        self.log = log
        let runID = (0..<40).map { _ in String(Int.random(in: 0..<16), radix: 16) }.joined()
        peer = try FakePeer { try FakeLockSession($0, options, log, runID: runID, behaviour).run() }
    }

    package var url: String { peer.url }
    package var port: UInt16 { peer.port }

    /// All requests so far. Complete after ``stop()``.
    package var requests: [Request] { log.requests }
    /// All requests but the renewals that a machine adds which stands still for some seconds.
    package var requestsBesidesRenewals: [Request] { requests.filter { $0.script != .extend } }
    /// Every command after a handshake, in order.
    package var verbs: [String] { log.verbs }
    package var connectionCount: Int { peer.acceptedCount }

    package func requests(_ script: Script) -> [Request] { requests.filter { $0.script == script } }

    /// Waits for a request that no earlier call has passed; `nil` when the task is cancelled or the node stops.
    package func next(where condition: (Request) -> Bool) async -> Request? {
        for await request in log.arrivals where condition(request) { return request }
        return nil
    }

    package func stop() async {
        await peer.stop()
        log.finish()
    }
}

/// One connection of a ``FakeLockNode``. Belongs to the thread of its script.
private final class FakeLockSession {
    private let connection: FakePeerConnection
    private let options: FakeLockNode.Options
    private let log: FakeLockLog
    private let behaviour: FakeLockNode.Behaviour
    /// A server of its own has one of its own.
    private let runID: String
    private var sources: [String] = []
    private var withheld: [String] = []

    init(
        _ connection: FakePeerConnection, _ options: FakeLockNode.Options, _ log: FakeLockLog,
        runID: String, _ behaviour: @escaping FakeLockNode.Behaviour
    ) {
        self.connection = connection
        self.options = options
        self.log = log
        self.runID = runID
        self.behaviour = behaviour
    }

    /// Ends by throwing, at the latest when the client closes.
    func run() throws {
        if connection.index <= options.turnsAway.count {
            _ = try connection.readCommand()
            return try connection.send("-\(options.turnsAway[connection.index - 1])\r\n")
        }
        while true {
            let command = try connection.readCommand()
            // The handshake ends with the last script.
            if sources.count == 4 { log.add(verb: command[0]) }
            if command[0] == "EVALSHA" || command[0] == "EVAL" {
                try evaluate(command)
            } else {
                try connection.send(reply(to: command))
            }
        }
    }

    private func reply(to command: [String]) -> String {
        switch (command[0], command.dropFirst().first) {
        case ("SCRIPT", _):
            let script = RedisScript(source: command[2])
            sources.append(command[2])
            return bulk(script.sha1)
        case ("INFO", "server"):
            return bulk("redis_version:\(options.version)\r\nrun_id:\(runID)\r\n")
        case ("INFO", "memory"): return bulk("maxmemory:0\r\nmaxmemory_policy:noeviction\r\n")
        case ("INFO", _): return bulk("aof_enabled:1\r\n")
        case ("ROLE", _): return "*3\r\n\(bulk(options.role)):0\r\n*0\r\n"
        case ("PING", _): return "+PONG\r\n"
        default: return "+OK\r\n"
        }
    }

    private func evaluate(_ command: [String]) throws {
        let isBySource = command[0] == "EVAL"
        let index = sources.firstIndex { isBySource ? $0 == command[1] : RedisScript(source: $0).sha1 == command[1] }
        guard let index, let script = FakeLockNode.Script(rawValue: index), let keys = Int(command[2]) else {
            throw TestSupportError("That is no script of a lock client.")
        }
        let request = FakeLockNode.Request(
            script: script, owner: command[3 + keys], connection: connection.index, isBySource: isBySource)
        let earlier = log.add(request)
        for reply in withheld { try connection.send(reply) }
        withheld = []
        switch behaviour(request, earlier) {
        case .bytes(let bytes): try connection.send(bytes)
        case .error(let line): try connection.send("-\(line)\r\n")
        case .late(let bytes): withheld.append(bytes)
        case .endOfFile:
            try connection.send("*4\r\n:1\r\n")
            throw TestSupportError("The script says so.")
        case .reset:
            connection.resetOnClose()
            throw TestSupportError("The script says so.")
        }
    }
}

/// What a ``FakeLockNode`` was asked.
private final class FakeLockLog: Sendable {
    private struct Fields {
        var requests: [FakeLockNode.Request] = []
        var verbs: [String] = []
    }

    private let fields = Mutex(Fields())
    let arrivals: AsyncStream<FakeLockNode.Request>
    private let arrive: AsyncStream<FakeLockNode.Request>.Continuation

    init() { (arrivals, arrive) = AsyncStream.makeStream(of: FakeLockNode.Request.self) }

    var requests: [FakeLockNode.Request] { fields.withLock { $0.requests } }
    var verbs: [String] { fields.withLock { $0.verbs } }

    func add(verb: String) { fields.withLock { $0.verbs.append(verb) } }

    /// Returns how many of the same script came before it.
    func add(_ request: FakeLockNode.Request) -> Int {
        defer { arrive.yield(request) }
        return fields.withLock { fields in
            defer { fields.requests.append(request) }
            return fields.requests.count { $0.script == request.script }
        }
    }

    func finish() { arrive.finish() }
}

private func bulk(_ text: String) -> String { "$\(text.utf8.count)\r\n\(text)\r\n" }

extension FakeLockNode.Answer {
    /// ACQUIRE's 1.
    package static func granted(_ token: Int64) -> Self { .bytes(acquired(1, token)) }
    /// ACQUIRE's 2: the owner has it already.
    package static func alreadyOurs(_ token: Int64) -> Self { .bytes(acquired(2, token)) }
    package static var extended: Self { .bytes("*2\r\n:1\r\n:0\r\n") }
    package static var notOurs: Self { .bytes("*2\r\n:0\r\n:0\r\n") }
    package static func released(_ count: Int) -> Self { .bytes(":\(count)\r\n") }

    package static func acquired(_ status: Int, _ token: Int64) -> String {
        "*4\r\n:\(status)\r\n\(bulk("\(token)")):0\r\n:0\r\n"
    }

    /// What a healthy server says, when the name is free.
    package static func healthy(_ script: FakeLockNode.Script) -> Self {
        switch script {
        case .acquire: .granted(1)
        case .confirm, .extend: .extended
        case .release: .released(1)
        }
    }
}
