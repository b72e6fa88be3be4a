import Hiredis
import Reactor
import Synchronization

/// A lock node that is a Redis server, over one connection.
final class RedisLockNode: LockNode {
    let label: String
    var onEvent: ((NodeEvent) -> Void)?

    let isDurable: Bool
    private(set) var lastReading: ClockReading?

    let connection: RedisConnection
    let reactor: Reactor
    let facts: FactsCell
    private var roleChecked: ContinuousClock.Instant
    private var wasReady = false
    private var toldCaveat: String?

    /// A replica that holds the key says "held", not READONLY: while we are told so, the role is asked for this often.
    private static let roleInterval: Duration = .seconds(5)

    private static let scripts = (
        acquire: RedisScript(source: LockScripts.acquire), confirm: RedisScript(source: LockScripts.confirm),
        extend: RedisScript(source: LockScripts.extend), release: RedisScript(source: LockScripts.release)
    )

    /// - Throws: what ``check(_:configuration:)`` would have refused.
    init(
        _ identity: NodeIdentity, configuration: RedisLocks.Configuration, reactor: Reactor
    ) throws(RedisError) {
        self.reactor = reactor
        let label = "\(identity.url)"
        self.label = label
        isDurable = identity.isDurable
        let facts = FactsCell()
        self.facts = facts
        roleChecked = reactor.now
        let allowsEviction = configuration.unsafeAllowEviction
        let scripts = [Self.scripts.acquire, Self.scripts.confirm, Self.scripts.extend, Self.scripts.release]
        let preamble = RedisPreamble(commands: ServerFacts.commands + scripts.map(\.loadCommand)) { replies in
            if let refusal = replies.lazy.compactMap(\.serverError).first {
                return RedisError.refusal(of: "the set-up of a lock node", by: label, refusal)
            }
            let parsed = ServerFacts.parse(Array(replies.prefix(ServerFacts.commands.count)))
            facts.set(parsed)
            let flaw = parsed.flaw(allowsEviction: allowsEviction, isDurable: identity.isDurable)
            return (flaw ?? Self.doubleVote(parsed, of: identity)).map { RedisError(.refused, "\(label) \($0).") }
        }
        connection = try RedisConnection(
            url: identity.url, configuration: Self.connectionConfiguration(configuration), reactor: reactor,
            preamble: preamble)
        connection.onHealthChange = { [weak self] health in self?.healthChanged(health) }
    }

    private static func doubleVote(_ facts: ServerFacts, of identity: NodeIdentity) -> String? {
        identity.processes.claim(facts.runID, for: identity.index).map {
            "is the same server as node \($0 + 1) of the list; a quorum needs independent ones"
        }
    }

    /// Checks what can be checked without a connection.
    static func check(
        _ nodes: LockNodes, configuration: RedisLocks.Configuration
    ) throws(LockError) -> [NodeIdentity] {
        var identities: [NodeIdentity] = []
        let processes = ServerProcesses()
        do throws(RedisError) {
            for (index, node) in nodes.nodes.enumerated() {
                let url = try RedisURL(node.url)
                try url.checkCredentials(unsafeAllowPlaintextPasswords: configuration.unsafeAllowPlaintextPasswords)
                if let twin = identities.first(where: { $0.url.location == url.location }) {
                    throw RedisError(
                        .invalidURL,
                        "Nodes \(twin.index + 1) and \(index + 1) are both \(url.location); a quorum needs different servers."
                    )
                }
                identities.append(
                    NodeIdentity(index: index, url: url, isDurable: node.isDurable, processes: processes))
            }
            try connectionConfiguration(configuration).validate()
        } catch {
            throw LockError(.misconfigured, error.message)
        }
        return identities
    }

    /// A node whose settings have passed ``check(_:configuration:)``.
    static func checked(
        _ identity: NodeIdentity, configuration: RedisLocks.Configuration, reactor: Reactor
    ) -> RedisLockNode {
        do {
            return try RedisLockNode(identity, configuration: configuration, reactor: reactor)
        } catch {
            preconditionFailure("Settings that were checked are refused: \(error)")
        }
    }

    private static func connectionConfiguration(
        _ configuration: RedisLocks.Configuration
    ) -> RedisConfiguration {
        var result = RedisConfiguration()
        result.connectTimeout = configuration.connectTimeout
        result.clientName = configuration.clientName
        result.unsafeAllowPlaintextPasswords = configuration.unsafeAllowPlaintextPasswords
        // One command for each waiter and each lease, and some to spare: the waiters' limit is the one that users meet.
        result.maximumPending = configuration.maximumWaiters * 2 + 65_536
        return result
    }

    // MARK: Requests

    func send(
        _ request: NodeRequest, deadline: ContinuousClock.Instant, completion: @escaping (NodeResponse) -> Void
    ) {
        switch request {
        case .acquire(let request): acquire(request, deadline: deadline, completion)
        case .confirm(let names, let owner, let top, let counterExpiry):
            run(
                Self.scripts.confirm, keys: names.keys + names.fenceKeys,
                arguments: [owner.string, top.digits, counterExpiry.digits], deadline: deadline, completion
            ) { ScriptReply.confirm($0) }
        case .extend(let names, let owner, let ttl, let top, let counterExpiry):
            run(
                Self.scripts.extend, keys: names.keys + names.fenceKeys,
                arguments: [owner.string, ttl.digits, top.digits, counterExpiry.digits], deadline: deadline, completion
            ) { ScriptReply.extend($0) }
        case .release(let names, let owner):
            run(Self.scripts.release, keys: names.keys, arguments: [owner.string], deadline: deadline, completion) {
                ScriptReply.release($0)
            }
        case .inspect(let name): inspect(name, deadline: deadline, completion)
        case .findCounter:
            lookForCounters(from: "0", of: facts.runID, deadline: deadline, completion) { completion(.reply(.pong)) }
        case .initialize(let isForced): initialize(isForced: isForced, deadline: deadline, completion)
        case .breakLock(let name):
            var command = RedisCommand(verb: "DEL")
            command.append(bytes: name.bytes)
            submit(command, deadline: deadline, completion) { ScriptReply.release($0) }
        case .ping: submit(RedisCommand("PING"), deadline: deadline, completion) { ScriptReply.ping($0) }
        }
    }

    private func acquire(
        _ request: AcquireRequest, deadline: ContinuousClock.Instant, _ completion: @escaping (NodeResponse) -> Void
    ) {
        let keys = request.names.keys + request.names.fenceKeys + [LockName.bootKey]
        // The run_id is that of the process which gets the request: an old one, which the boot record may still have, would
        // let a restarted server vote as if it had never been away.
        run(
            Self.scripts.acquire, keys: keys, arguments: request.arguments(runID: self.facts.runID), deadline: deadline
        ) { [weak self] response in
            if case .reply(.held) = response { self?.checkRole() }
            completion(response)
        } decode: {
            ScriptReply.acquire($0)
        }
    }

    private func run(
        _ script: RedisScript, keys: [String], arguments: @escaping @autoclosure () -> [String],
        deadline: ContinuousClock.Instant, _ completion: @escaping (NodeResponse) -> Void,
        decode: @escaping (RedisValue) -> NodeReply?
    ) {
        let sent = reactor.now
        connection.evaluate(script, keys: keys, arguments: arguments(), deadline: deadline) { result in
            if case .success(let value) = result, let time = ScriptReply.serverTime(value) {
                self.lastReading = ClockReading(server: time, sent: sent, received: self.reactor.now)
            }
            completion(self.response(to: result, decode))
        }
    }

    func submit(
        _ command: RedisCommand, deadline: ContinuousClock.Instant, _ completion: @escaping (NodeResponse) -> Void,
        decode: @escaping (RedisValue) -> NodeReply?
    ) {
        connection.submit(command, deadline: deadline) { result in
            completion(self.response(to: result, decode))
        }
    }

    // MARK: Connection

    func setWanted(_ isWanted: Bool) {
        connection.keepConnected = isWanted
    }

    func close(deadline: ContinuousClock.Instant, completion: @escaping () -> Void) {
        connection.close(deadline: deadline, completion: completion)
    }

    private func healthChanged(_ health: RedisHealth) {
        switch health {
        case .ready:
            wasReady = true
            roleChecked = reactor.now
            onEvent?(.connected)
            let caveat = facts.caveat
            if let caveat, caveat != toldCaveat { onEvent?(.caveat(caveat)) }
            toldCaveat = caveat
        case .backingOff(_, let error) where wasReady:
            wasReady = false
            onEvent?(.disconnected(error.message))
        case .refused(let error):
            wasReady = false
            onEvent?(.refused(error.message))
        default: break
        }
    }

    private func checkRole() {
        guard reactor.now - roleChecked >= Self.roleInterval else { return }
        roleChecked = reactor.now
        connection.submit(RedisCommand("ROLE"), deadline: reactor.now + Self.roleInterval) { [weak self] result in
            guard case .success(.array(let elements)) = result, let role = elements.first?.string, role != "master"
            else {
                return
            }
            self.map {
                $0.connection.replaceConnection(because: RedisError(.connectionLost, "\($0.label) is a \(role) now."))
            }
        }
    }

    // MARK: Answers

    func response(
        to result: Result<RedisValue, RedisError>, _ decode: (RedisValue) -> NodeReply?
    ) -> NodeResponse {
        if case .success(.error(let error)) = result, ["READONLY", "MASTERDOWN", "REDIRECT"].contains(error.code) {
            // A demoted master. The next connection asks for the role before anything else.
            connection.replaceConnection(because: RedisError(.connectionLost, "\(label): \(error.message)"))
        }
        switch result {
        case .success(.error(let error)):
            return .failure(NodeFailure(error))
        case .success(let value):
            if let reply = decode(value) { return .reply(reply) }
            return .failure(NodeFailure(.ambiguous, .refused("answered something else than was asked")))
        case .failure(let error):
            return .failure(NodeFailure(NodeFailure.Effect(error.outcome), outcome(of: error)))
        }
    }

    private func outcome(of error: RedisError) -> NodeReport.Outcome {
        switch error.code {
        case .authenticationFailed, .refused, .invalidURL, .unsupportedTLS, .insecureCredentials, .unsupportedCommand:
            return .refused(error.message)
        case .timedOut:
            // "No answer in time" hides that there is no connection, and why.
            if case .backingOff(_, let reason) = connection.health { return .unreachable(reason.message) }
            return .timedOut
        default:
            return .unreachable(error.message)
        }
    }
}

/// What the last handshake learnt of the server. Written by the handshake's verdict, which may run anywhere.
final class FactsCell: Sendable {
    private let facts = Mutex(ServerFacts())

    func set(_ new: ServerFacts) { facts.withLock { $0 = new } }
    var runID: String { facts.withLock { $0.runID } }
    var caveat: String? { facts.withLock { $0.caveat } }
}

extension [LockName] {
    fileprivate var keys: [String] { map(\.string) }
    fileprivate var fenceKeys: [String] { map(\.fenceKeyString) }
}

extension AcquireRequest {
    fileprivate func arguments(runID: String) -> [String] {
        [
            owner.string, ttl.digits, granularityMicroseconds.digits, block.digits, counterExpiry.digits,
            guardTime.digits, runID, isDurable ? "1" : "0",
        ]
    }
}

extension Int64 {
    fileprivate var digits: String { String(self) }
}

extension NodeFailure {
    /// A server's error reply.
    package init(_ error: RedisServerError) {
        self.init(Effect(error.outcome), .refused(error.message))
    }
}

extension NodeFailure.Effect {
    fileprivate init(_ outcome: RedisOutcome) {
        switch outcome {
        case .notApplied: self = .notApplied
        case .ambiguous: self = .ambiguous
        case .misconfigured: self = .permanent
        }
    }
}
