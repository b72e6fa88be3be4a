/// How a connection behaves. Durations are wall durations on the continuous clock.
package struct RedisConfiguration: Sendable {
    /// How long one attempt may take, from name resolution to the last reply of the handshake, all addresses together.
    package var connectTimeout: Duration = .seconds(2)
    /// What `CLIENT LIST` shows, `nil` for nothing. A server that does not allow `CLIENT SETNAME` is no obstacle.
    package var clientName: String? = "swift-redis-locks"
    package var limits = RedisLimits()
    /// The wait after the first failed attempt is random between zero and this; it doubles with each further one.
    package var backOffBase: Duration = .milliseconds(50)
    /// The longest wait between attempts; also how long a refusal is believed before the next command tries again.
    package var backOffCeiling: Duration = .seconds(2)
    /// A connection whose oldest unanswered command was abandoned (timed out or cancelled), and was sent longer ago than
    /// this, is replaced.
    package var stallBound: Duration = .seconds(2)
    /// How many commands may wait for a connection or for their reply, abandoned ones included.
    package var maximumPending = 16_384
    /// When the system starts to probe a silent connection, in whole seconds.
    package var keepalive: Duration = .seconds(15)
    /// Lets a password cross a network unencrypted. Anyone on the path can read it, and use it.
    package var unsafeAllowPlaintextPasswords = false

    package init() {}

    /// - Throws: ``RedisError`` `invalidURL` for settings that make no sense.
    package func validate() throws(RedisError) {
        let durations = [
            ("connectTimeout", connectTimeout), ("backOffBase", backOffBase), ("stallBound", stallBound),
            ("keepalive", keepalive),
        ]
        for (name, duration) in durations where duration <= .zero {
            throw RedisError(.invalidURL, "\(name) is \(duration); it must be longer than zero.")
        }
        guard backOffCeiling >= backOffBase else {
            throw RedisError(.invalidURL, "backOffCeiling must not be shorter than backOffBase (\(backOffBase)).")
        }
        guard maximumPending > 0 else { throw RedisError(.invalidURL, "maximumPending must be at least 1.") }
        guard clientName?.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) != false else {
            throw RedisError(.invalidURL, "clientName must consist of printable ASCII characters without spaces.")
        }
    }
}

/// What an owner wants said on each new connection before its commands are.
package struct RedisPreamble: Sendable {
    /// Sent in one pipeline with the handshake.
    package var commands: [RedisCommand]
    /// Judges the replies, one per command and in their order. An error that is permanent refuses the connection; any
    /// other makes the next attempt wait.
    package var verify: @Sendable ([RedisValue]) -> RedisError?

    package init(
        commands: [RedisCommand],
        verify: @escaping @Sendable ([RedisValue]) -> RedisError? = { _ in nil }
    ) {
        self.commands = commands
        self.verify = verify
    }

    package static let none = RedisPreamble(commands: [])
}

/// How a connection is doing.
package enum RedisHealth: Sendable, Equatable {
    /// Not connected, because nobody needs it.
    case idle
    case connecting
    case ready
    case backingOff(until: ContinuousClock.Instant, RedisError)
    /// The server does not want us; the next command after the cool-down tries once more.
    case refused(RedisError)
    case closed
}
