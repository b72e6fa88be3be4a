/// How the client connects, and how long it waits.
package struct ClientConfiguration: Sendable {
    package var options: ConnectionOptions
    /// Set as `search_path` on every connection.
    package var schema: String
    package var minimumConnections = 0
    package var maximumConnections = 10
    /// How many may wait for a connection at once.
    package var maximumWaiters = 10_000
    /// How long one may wait for a connection.
    package var acquireTimeout: Duration = .seconds(10)
    /// From the name's look-up to the end of the login.
    package var connectTimeout: Duration = .seconds(5)
    /// How long a statement may take, by the server's clock.
    package var statementTimeout: Duration = .seconds(15)
    /// How long a statement may wait for a row.
    package var lockTimeout: Duration = .seconds(2)
    /// How long a transaction may do nothing before the server ends it: a process that hangs must not keep its locks.
    package var idleInTransactionTimeout: Duration = .seconds(30)
    /// How old a connection grows.
    package var lifetime: Duration = .seconds(1800)
    /// How long a connection above the minimum is kept without work.
    package var idleTime: Duration = .seconds(60)
    /// Further settings of the server for every connection, by name.
    package var settings: [String: String] = [:]

    package init(options: ConnectionOptions, schema: String) {
        self.options = options
        self.schema = schema
    }

    /// How long a batch may take, by our clock: the server comes first, unless it or the network hangs.
    var answerTimeout: Duration { statementTimeout + .seconds(5) }

    var limits: PoolLimits {
        PoolLimits(
            minimum: min(max(minimumConnections, 0), max(maximumConnections, 1)), maximum: max(maximumConnections, 1),
            maximumWaiters: maximumWaiters, lifetime: lifetime, idleTime: idleTime)
    }

    /// One round trip after the login. Bound, like everything else.
    var setup: Statement {
        var values = [
            ("search_path", Self.quoted(schema)),
            ("statement_timeout", Self.milliseconds(statementTimeout)),
            ("lock_timeout", Self.milliseconds(lockTimeout)),
            ("idle_in_transaction_session_timeout", Self.milliseconds(idleInTransactionTimeout)),
            ("default_transaction_isolation", "read committed"),
            // Tables grow while plans stay: a plan that was made when they were empty must not read them from end to end.
            ("enable_seqscan", "off"),
            // Would compile queries that take microseconds.
            ("jit", "off"),
            ("standard_conforming_strings", "on"),
        ]
        values += settings.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
        let calls = values.indices.map { "set_config($\($0 * 2 + 1), $\($0 * 2 + 2), false)" } + [Self.connectionCheck]
        return Statement("SELECT " + calls.joined(separator: ", "), values.flatMap { [$0.0, $0.1] })
    }

    /// Has the server look whether somebody still listens while it works, and stop working when nobody does.
    ///
    /// PostgreSQL 14 was the first that could, and not on all systems.
    private static let connectionCheck = """
        CASE WHEN current_setting('server_version_num')::int >= 140000 AND version() LIKE '%linux%'
            THEN set_config('client_connection_check_interval', '1s', false) END
        """

    package static func quoted(_ identifier: String) -> String {
        "\"" + identifier.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }

    package static func milliseconds(_ duration: Duration) -> String {
        // The server's greatest is 24 days.
        "\(Int64(min(max(duration, .milliseconds(1)), .seconds(24 * 86_400)) / .milliseconds(1)))ms"
    }
}
