/// What is said on a new connection before anything else, and what the replies mean. Sent as one pipeline.
struct Handshake {
    enum Progress {
        case more
        case done
        case failed(RedisError)
    }

    private enum Step {
        /// A refusal ends the attempt.
        case required(String)
        /// A refusal matters only if it is about the connection rather than the command.
        case optional(String)
        case preamble
    }

    private(set) var commands: [RedisCommand] = []
    private var steps: [Step] = []
    private var received = 0
    private var preambleReplies: [RedisValue] = []
    private let preamble: RedisPreamble

    init(url: RedisURL, clientName: String?, preamble: RedisPreamble) {
        self.preamble = preamble
        if let password = url.password {
            add(
                url.user.map { RedisCommand("AUTH", $0, password) } ?? RedisCommand("AUTH", password),
                .required("the password"))
        }
        if url.database != 0 { add(RedisCommand("SELECT", String(url.database)), .required("the database")) }
        if let clientName { add(RedisCommand("CLIENT", "SETNAME", clientName), .optional("the connection's name")) }
        // A server turns a connection away only in reply to something: without a first word of ours, a command of the
        // owner's would be the one to hear it.
        if commands.isEmpty { add(RedisCommand("PING"), .optional("the first command")) }
        for command in preamble.commands { add(command, .preamble) }
    }

    private mutating func add(_ command: RedisCommand, _ step: Step) {
        commands.append(command)
        steps.append(step)
    }

    mutating func receive(_ value: RedisValue, from server: String) -> Progress {
        guard received < steps.count else { return .failed(RedisError(.protocolViolation, "\(server) replied twice.")) }
        let step = steps[received]
        received += 1
        switch step {
        case .required(let name):
            if let error = value.serverError { return .failed(.refusal(of: name, by: server, error)) }
        case .optional(let name):
            if let error = value.serverError, concernsConnection(error) {
                return .failed(.refusal(of: name, by: server, error))
            }
        case .preamble: preambleReplies.append(value)
        }
        guard received == steps.count else { return .more }
        return preamble.verify(preambleReplies).map { .failed($0) } ?? .done
    }

    private func concernsConnection(_ error: RedisServerError) -> Bool {
        error.isAuthenticationFailure || error.code == "DENIED" || error.message.hasPrefix("ERR max number of clients")
    }
}
