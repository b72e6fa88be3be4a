/// Why the database did not do what was asked.
package struct DatabaseError: Error, Sendable, Hashable, CustomStringConvertible {
    package enum Code: String, Sendable, Hashable {
        /// No connection came about: nobody listens, or the name is unknown, or it took too long.
        case connectFailed
        /// The server will not have us as long as nobody changes a setting.
        case refused
        /// The connection broke, or was given up because nothing came any more, or the server is going down.
        case connectionLost
        /// The server answered with an error: see ``DatabaseError/sqlState``.
        case server
        /// The answer did not come in time, and the statement was cancelled.
        case timedOut
        /// The task was cancelled.
        case cancelled
        /// No connection became free in time, or too many wait for one already.
        case exhausted
        /// The client was closed.
        case closed
        /// The URL makes no sense.
        case invalidURL
        /// Misuse of a connection, or words that libpq does not understand.
        case failed
    }

    package let code: Code
    /// Five characters, for what the server said.
    package let sqlState: String?
    /// The constraint that was violated.
    package let constraint: String?
    /// One sentence, without passwords and without values of rows.
    package let message: String
    /// Whether the statements may have been committed although this is an error.
    package var effectIsUnknown = false

    package init(_ code: Code, _ message: String, sqlState: String? = nil, constraint: String? = nil) {
        self.code = code
        self.sqlState = sqlState
        self.constraint = constraint
        self.message = message
    }

    package var description: String { message }

    /// What the server said. The text is quoted only where it cannot hold what somebody stored or sent.
    init(sqlState: String, text: String, constraint: String?) {
        let code: Code =
            switch sqlState {
            case _ where Self.endsConnection(sqlState): .connectionLost
            case _ where Self.isRefusal(sqlState): .refused
            default: .server
            }
        // 22 is data: "invalid input syntax for type integer: ..." quotes what was sent.
        let quoted = sqlState.hasPrefix("22") ? "a value does not fit" : text
        self.init(code, "PostgreSQL: \(quoted) (\(sqlState)).", sqlState: sqlState, constraint: constraint)
    }

    private static func endsConnection(_ state: String) -> Bool {
        state.hasPrefix("08") || ["57P01", "57P02", "57P03", "57P05", "25P03", "53300"].contains(state)
    }

    private static func isRefusal(_ state: String) -> Bool {
        // Authorization, no such database or schema, no permission, a database that was dropped.
        state.hasPrefix("28") || state.hasPrefix("3D") || state.hasPrefix("3F") || state == "42501" || state == "57P04"
    }
}
