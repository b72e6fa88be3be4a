/// Why a command got no reply.
///
/// A reply that is an error is a reply: see ``RedisServerError``. Messages are one sentence each and hold no secret.
package struct RedisError: Error, Sendable, Equatable, CustomStringConvertible {
    package enum Code: String, Sendable {
        /// The URL, or a setting beside it, cannot be used.
        case invalidURL
        /// `rediss://`, which this build cannot speak.
        case unsupportedTLS
        /// A password would cross a network in the clear, and nobody said that it may.
        case insecureCredentials
        case resolutionFailed
        case connectFailed
        case connectTimedOut
        /// The server does not accept the credentials, or wants some.
        case authenticationFailed
        /// The server, or the owner's preamble, turned the connection down.
        case refused
        case connectionLost
        case timedOut
        case protocolViolation
        case replyTooLarge
        /// Too many commands wait already.
        case overloaded
        /// The command may not run on a shared connection.
        case unsupportedCommand
        case closed
        case cancelled
    }

    package let code: Code
    package let message: String
    /// What the server said, where it was the server that refused.
    package let serverError: RedisServerError?
    /// Whether the command had been handed to the socket: the server may have executed it, or may yet.
    package let mayHaveBeenExecuted: Bool
    /// Whether trying again is useless until somebody changes a configuration.
    package let isPermanent: Bool

    package init(
        _ code: Code,
        _ message: String,
        serverError: RedisServerError? = nil,
        mayHaveBeenExecuted: Bool = false,
        isPermanent: Bool? = nil
    ) {
        self.code = code
        self.message = message
        self.serverError = serverError
        self.mayHaveBeenExecuted = mayHaveBeenExecuted
        self.isPermanent = isPermanent ?? Self.permanentCodes.contains(code)
    }

    private static let permanentCodes: Set<Code> = [
        .invalidURL, .unsupportedTLS, .insecureCredentials, .authenticationFailed, .refused, .unsupportedCommand,
    ]

    package var description: String { message }

    /// What this says about the command, as ``RedisServerError/outcome`` does for replies.
    package var outcome: RedisOutcome {
        if mayHaveBeenExecuted { return .ambiguous }
        return isPermanent ? .misconfigured : .notApplied
    }

    /// The same trouble, told to a command that had, or had not, left.
    func told(sent: Bool) -> RedisError {
        RedisError(
            code, message, serverError: serverError, mayHaveBeenExecuted: sent, isPermanent: isPermanent && !sent)
    }

    /// What a server's refusal during the handshake means: `step` says what it refused.
    package static func refusal(of step: String, by server: String, _ error: RedisServerError) -> RedisError {
        if error.isAuthenticationFailure {
            return RedisError(
                .authenticationFailed,
                "\(server) refused \(step): \(error.message). Check the user and the password in the URL.",
                serverError: error)
        }
        if error.outcome == .misconfigured {
            return RedisError(
                .refused, "\(server) refused \(step): \(error.message).", serverError: error)
        }
        return RedisError(
            .connectFailed, "\(server) is not ready (\(step)): \(error.message).", serverError: error)
    }
}
