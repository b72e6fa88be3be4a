import ArgumentParser
import Foundation
import Logging
import Metrics
import RedislockKit
import ReservationServiceKit
import Reservations

@main
struct ReservationServiceTool: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reservation-service",
        abstract: "Reservations over HTTP that cannot oversell, and a page to see them with.",
        discussion: """
            Without --node a private redis-server is started, and without --store a SQLite
            file is used: `reservation-service serve` works alone.
            """,
        subcommands: [
            ServeCommand.self, MigrateCommand.self, AuditCommand.self, RushCommand.self, DemoCommand.self,
            PausedHolderCommand.self,
        ])

    static func main() async {
        signal(SIGPIPE, SIG_IGN)
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let failure as Failure {
            complain(failure.sentence)
            Foundation.exit(failure.status.code)
        } catch let error as ReservationError {
            complain(error.message)
            Foundation.exit(Failure(error).status.code)
        } catch let failure as RushFailure {
            complain(failure.description)
            Foundation.exit(ExitStatus.unreachable.code)
        } catch {
            exit(withError: error)
        }
    }

    private static func complain(_ sentence: String) {
        FileHandle.standardError.write(Data("reservation-service: \(sentence)\n".utf8))
    }
}

struct StoreOption: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "Where reservations live; default sqlite:reservations.sqlite. RESERVATION_STORE keeps a password out of sight.",
            valueName: "sqlite:PATH | postgres://..."))
    var store: String?

    var isGiven: Bool { store != nil || Console.environment("RESERVATION_STORE") != nil }

    var value: String { store ?? Console.environment("RESERVATION_STORE") ?? "sqlite:reservations.sqlite" }
}

struct NodeOption: ParsableArguments {
    @Option(
        name: .customLong("node"),
        help: ArgumentHelp(
            "A Redis server for the locks; several make a Redlock. Default: REDISLOCK_NODES, else a private server.",
            valueName: "redis://..."))
    var nodes: [String] = []

    @Flag(name: .customLong("unsafe-plaintext-password"), help: "Allow a password over an unencrypted connection.")
    var allowsPlaintextPassword = false

    var value: NodeSet {
        let urls = nodes.isEmpty ? NodeList.list(Console.environment(NodeList.variable)) : nodes
        var set = NodeSet(urls)
        set.allowsPlaintextPassword = allowsPlaintextPassword
        return set
    }
}

extension StrategyName: ExpressibleByArgument {}

/// `poster=queued`
struct ItemStrategy: ExpressibleByArgument {
    let item: String
    let strategy: StrategyName

    init?(argument: String) {
        let parts = argument.split(separator: "=", omittingEmptySubsequences: false)
        guard parts.count == 2, let strategy = StrategyName(rawValue: String(parts[1])) else { return nil }
        (item, self.strategy) = (String(parts[0]), strategy)
    }
}

struct ServeOptions: ParsableArguments {
    @OptionGroup var store: StoreOption
    @OptionGroup var nodes: NodeOption

    @Option(help: "The strategy of items that have none of their own in the catalogue.")
    var strategy = StrategyName.locked

    @Option(
        name: .customLong("item-strategy"),
        help: ArgumentHelp("The strategy of one item; may be repeated.", valueName: "item=strategy"))
    var itemStrategies: [ItemStrategy] = []

    @Option(help: ArgumentHelp("The Redis server of waiting lines; default: the first node.", valueName: "redis://..."))
    var queueNode: String?

    @Flag(
        name: .customLong("no-line-owner"),
        help: "Let buyers wait in lines, and leave the decisions to other processes.")
    var leavesLinesToOthers = false

    @Option(help: "The address to listen at.")
    var host = "127.0.0.1"

    @Option(help: "The port; 0 for a free one.")
    var port = 8080

    @Option(
        help: ArgumentHelp(
            "Turns on administration and the operator's page. Better: RESERVATION_ADMIN_TOKEN.", valueName: "token"))
    var adminToken: String?

    @Option(
        help: ArgumentHelp("How long a hold lasts; default 3m.", valueName: "duration"),
        transform: { try DurationOption.parse($0) })
    var hold = Duration.seconds(180)

    @Flag(help: "The service stands behind TLS: its cookie is sent over nothing else.")
    var behindTls = false

    @Option(help: "Requests per second of one caller.")
    var rate = 20.0

    @Option(
        help: "trace, debug, info, notice, warning, error or critical; default notice, for the demonstration warning.")
    var logLevel: Logger.Level?

    func validate() throws {
        guard (0...65_535).contains(port) else { throw ValidationError("--port is from 0 to 65535") }
        for choice in itemStrategies where Catalogue.demo.item(choice.item) == nil {
            throw ValidationError("--item-strategy names \(choice.item), which is not in the catalogue")
        }
        guard rate > 0 else { throw ValidationError("--rate must be more than 0") }
    }

    var settings: ServiceSettings {
        var settings = ServiceSettings(store: store.value, nodes: nodes.value)
        settings.strategy = strategy
        for choice in itemStrategies { _ = settings.catalogue.claim(choice.item, with: choice.strategy) }
        settings.queueNode = queueNode
        settings.decidesInLines = !leavesLinesToOthers
        settings.host = host
        settings.port = port
        settings.adminToken = adminToken ?? Console.environment("RESERVATION_ADMIN_TOKEN")
        settings.hold = hold
        settings.isBehindTLS = behindTls
        settings.limits.requestsPerSecond = rate
        settings.limits.burst = max(60, rate * 3)
        return settings
    }

    /// Also makes this process's metrics: once.
    func server(logLevel defaultLevel: Logger.Level = .notice) -> Server {
        let registry = PrometheusRegistry()
        MetricsSystem.bootstrap(registry)
        let level = logLevel ?? defaultLevel
        LoggingSystem.bootstrap { label in
            var handler = StreamLogHandler.standardError(label: label)
            handler.logLevel = level
            return handler
        }
        return Server(settings: settings, registry: registry, logger: Logger(label: "reservation-service"))
    }
}

extension Logger.Level: @retroactive ExpressibleByArgument {}

enum DurationOption {
    static func parse(_ text: String) throws -> Duration {
        do {
            return try DurationArgument.parse(text)
        } catch {
            throw ValidationError("\(error)")
        }
    }
}
