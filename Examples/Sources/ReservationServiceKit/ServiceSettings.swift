import RedislockKit

/// How the service runs. The defaults serve one machine.
package struct ServiceSettings: Sendable {
    /// `sqlite:PATH`, or a URL of PostgreSQL.
    package var store: String
    package var nodes: NodeSet
    package var strategy = StrategyName.locked
    /// The server of waiting lines; `nil` for the first of the nodes.
    package var queueNode: String?
    /// Whether this process decides in waiting lines, or only lets buyers wait in them. At least one must.
    package var decidesInLines = true
    package var host = "127.0.0.1"
    /// 0 for a free one.
    package var port = 8080
    /// Without one there is no administration.
    package var adminToken: String?
    /// Adds `Secure` to the cookie: for a service behind TLS.
    package var isBehindTLS = false
    /// How long a hold lasts when the request does not say.
    package var hold: Duration = .seconds(180)
    package var limits = Limits()
    package var catalogue = Catalogue.demo

    package struct Limits: Sendable {
        /// Of one caller.
        package var requestsPerSecond = 20.0
        package var burst = 60.0
        package var bodyBytes = 16 * 1024
        package var headerBytes = 16 * 1024
        package var connections = 8_192
        /// How long a request may take, without its body.
        package var requestTime: Duration = .seconds(20)
        /// How long a connection may say nothing, in the middle of a request too.
        package var idleTime: Duration = .seconds(60)
        /// Listeners of live events at once.
        package var streams = 4_096
        /// How often listeners are told that the connection lives, though nothing has changed. Whole seconds.
        package var heartbeat: Duration = .seconds(15)
        /// Events that one listener may be behind. Who does not read is let go, and comes back with `Last-Event-ID`.
        package var bufferedEvents = 32
        /// How many reservations of one caller may be unconfirmed.
        package var liveHolds = 6
        /// How many requests may wait in one line.
        package var waitingInLine = 100_000
        /// How many requests of one caller may wait in lines.
        package var waitingRequests = 6
        /// Who was away from a line for longer than this is passed over.
        package var lineSilence: Duration = .seconds(300)
        /// The shortest hold that may be asked for.
        package var shortestHold: Duration = .seconds(2)

        package init() {}
    }

    package init(store: String, nodes: NodeSet) {
        self.store = store
        self.nodes = nodes
    }
}
