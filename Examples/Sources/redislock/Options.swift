import ArgumentParser
import Logging
import RedisLocks
import RedislockKit

/// Where the lock lives: the same for every subcommand.
struct NodeOptions: ParsableArguments {
    @Option(
        name: .customLong("node"),
        help: ArgumentHelp(
            "A Redis that holds the lock: redis://[user[:password]@]host[:port][/db] or unix:///path.",
            discussion: """
                Given 2 to 9 times, the lock lives on all of them, and a majority decides (Redlock): independent masters, the \
                same ones for everybody. 3 survive one failure, 5 two. Default: the environment's REDISLOCK_NODES, with commas \
                in between, which also keeps a password out of the list of processes.
                """,
            valueName: "url"
        )
    )
    var nodes: [String] = []

    @Flag(
        name: .customLong("unsafe-plaintext-password"),
        help: "Allow a password to be sent unencrypted to another machine."
    )
    var allowPlaintextPassword = false

    func nodeSet(_ fleet: FleetOptions? = nil) throws(Failure) -> NodeSet {
        var set = NodeSet(try NodeList.resolve(options: nodes, environment: Console.environment(NodeList.variable)))
        set.allowsPlaintextPassword = allowPlaintextPassword
        fleet?.apply(to: &set)
        return set
    }
}

/// What every process of a fleet must say alike.
struct FleetOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The longest --ttl that anybody uses on these nodes: 100ms to 24h; default 60s.",
            discussion: """
                The same for the whole fleet. Among several nodes, one that restarted, was emptied or is new does not vote \
                for a little longer than this, until all that it may have forgotten has expired.
                """,
            valueName: "duration"
        ),
        transform: duration
    )
    var maximumTTL = Duration.seconds(60)

    @Flag(help: "All nodes run with appendonly yes and appendfsync always: a restart costs them no vote.")
    var durable = false

    @Flag(
        name: .customLong("unsafe-no-restart-guard"),
        help: "Let nodes vote right after a restart. Two may then hold the lock; the tokens go on rising.")
    var noRestartGuard = false

    func validate() throws {
        guard (Duration.milliseconds(100)...Duration.seconds(86_400)).contains(maximumTTL) else {
            throw ValidationError("--maximum-ttl must be between 100ms and 24h")
        }
    }

    func apply(to set: inout NodeSet) {
        set.maximumTTL = maximumTTL
        set.areDurable = durable
        set.hasRestartGuard = !noRestartGuard
    }

    /// Whether nothing was said.
    var isDefault: Bool { maximumTTL == .seconds(60) && !durable && !noRestartGuard }
}

struct KeyOption: ParsableArguments {
    @Option(name: .customLong("key"), help: "The lock's name: 1 to 512 bytes of UTF-8 without { or }.")
    var key: String
}

struct VerboseFlag: ParsableArguments {
    @Flag(
        name: [.customShort("v"), .customLong("verbose")],
        help: "Log to stderr what happens to the lock and the command.")
    var verbose = false

    var logger: Logger {
        guard verbose else { return Logger(label: "redislock", factory: { _ in SwiftLogNoOpLogHandler() }) }
        var logger = Logger(label: "redislock", factory: StreamLogHandler.standardError(label:))
        logger.logLevel = .debug
        return logger
    }

    /// The logger, which has told what is unwise about the nodes.
    func logger(for nodes: NodeSet) -> Logger {
        let logger = self.logger
        if let advice = nodes.advice { logger.warning("\(advice)") }
        return logger
    }
}

/// For options that are durations.
func duration(_ text: String) throws -> Duration {
    do {
        return try DurationArgument.parse(text)
    } catch {
        throw ValidationError(error.description)
    }
}
