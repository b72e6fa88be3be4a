import ArgumentParser
import Logging
import RedisLocks
import RedislockKit

/// Where the lock lives: the same for every subcommand.
struct NodeOptions: ParsableArguments {
    @Option(
        name: .customLong("node"),
        help: ArgumentHelp(
            "The Redis that holds the lock: redis://[user[:password]@]host[:port][/db] or unix:///path.",
            discussion: """
                Default: the environment's REDISLOCK_NODES, which also keeps a password out of the list of processes.
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

    func url() throws(Failure) -> String {
        try NodeList.resolve(options: nodes, environment: Console.environment(NodeList.variable))
    }
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
}

/// For options that are durations.
func duration(_ text: String) throws -> Duration {
    do {
        return try DurationArgument.parse(text)
    } catch {
        throw ValidationError(error.description)
    }
}
