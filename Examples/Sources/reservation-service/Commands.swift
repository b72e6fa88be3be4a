import ArgumentParser
import Foundation
import Logging
import RedislockKit
import ReservationServiceKit
import Reservations

struct ServeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Answers requests until Ctrl-C, and then answers those under way.")

    @OptionGroup var options: ServeOptions

    func run() async throws {
        var server = options.server()
        server.signals = [.sigterm, .sigint]
        try await server.run(onReady: { Console.print("Listening on \($0.url)") })
    }
}

struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Brings the schema up to date, and stocks what has never been stocked.")

    @OptionGroup var store: StoreOption

    func run() async throws {
        let store = try await StoreChoice.open(store.value)
        do {
            try await store.migrate()
            try await Catalogue.demo.stock(try ReservationService(store: store))
        } catch let error as StoreError {
            await store.close()
            throw Failure(error)
        } catch {
            await store.close()
            throw error
        }
        await store.close()
        Console.print("The schema is up to date.")
    }
}

struct AuditCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "audit", abstract: "Compares everything with everything; changes nothing.",
        discussion: """
            EXIT STATUS
              0   every invariant holds
              1   at least one is broken: one line for each on stdout
              64  bad arguments
              69  the store cannot be reached
              78  the store refuses to work until a setting is changed
            """)

    @OptionGroup var store: StoreOption

    func run() async throws {
        let store = try await StoreChoice.open(store.value)
        let report: AuditReport
        do {
            report = try await store.audit(grace: .seconds(30))
        } catch {
            await store.close()
            throw Failure(error)
        }
        await store.close()
        for finding in report.findings { Console.print("\(finding.rule.rawValue): \(finding.detail)") }
        Console.print(
            "\(report.buckets) buckets and \(report.reservations) reservations, \(report.findings.count) findings")
        if !report.isClean { throw ExitCode(1) }
    }
}

struct RushCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rush", abstract: "Virtual buyers who all want the same item of a running service.",
        discussion: """
            They come in an open loop: on time, however slow the answers are. Latencies count
            from when a buyer came. Nobody else should want the item meanwhile. In the end
            every request that had no answer, or got a reservation, is sent once more.

            EXIT STATUS
              0   nothing was oversold, lost, sold twice or left unanswered, no hold is stuck,
                  the book adds up, and no invariant is broken
              1   otherwise
              69  the service cannot be reached, or refuses
            """)

    @Option(
        name: .customLong("url"),
        help: "The address of the service; repeated for several processes, which get the buyers in turn.")
    var urls = ["http://127.0.0.1:8080"]

    @Option(help: "A counted item of the catalogue.")
    var item = "drop-locked"

    @Option(help: "Units to add before; 0 sells what is there.")
    var units = 1_000

    @Option(help: "How many buyers come.")
    var buyers = 20_000

    @Option(help: "Over how many seconds they come.")
    var seconds = 10.0

    @Option(help: "How many of 100 send their request twice: at once, or again when they have an answer.")
    var duplicates = 5.0

    @Flag(help: "40 of 100 confirm, 30 cancel, 30 let their hold end. Else all confirm.")
    var lifecycle = false

    @Option(help: "How many may be on their way at once: the others are dropped, and counted.")
    var outstanding = 8_192

    @Option(help: ArgumentHelp("Or RESERVATION_ADMIN_TOKEN. Needed to add units.", valueName: "token"))
    var adminToken: String?

    func validate() throws {
        guard (0...100_000).contains(units), (1...200_000).contains(buyers), (0.1...3_600).contains(seconds),
            (0...100).contains(duplicates), outstanding > 0
        else {
            throw ValidationError("at most 100000 units, 1 to 200000 buyers, 0.1 to 3600 seconds, 0 to 100 duplicates")
        }
    }

    func run() async throws {
        var plan = RushPlan(urls: urls, item: item)
        plan.maximumOutstanding = outstanding
        (plan.units, plan.buyers, plan.seconds) = (units, buyers, seconds)
        (plan.duplicatePercent, plan.isLifecycle) = (duplicates, lifecycle)
        plan.adminToken = adminToken ?? Console.environment("RESERVATION_ADMIN_TOKEN")
        guard try await RushOnTerminal(plan).run().isClean else { throw ExitCode(1) }
    }
}

/// A rush with a line that moves, where there is a terminal, and a table.
struct RushOnTerminal {
    let plan: RushPlan

    init(_ plan: RushPlan) { self.plan = plan }

    private var place: String { plan.urls.joined(separator: ", ") }

    func run() async throws -> RushResult {
        Console.print(
            "\(plan.buyers) buyers in \(Int(plan.seconds)) s for \(plan.units) of \(plan.item) at \(place)")
        let result: RushResult
        do {
            result = try await Rush(plan).run { progress in
                guard Console.isTerminal else { return }
                FileHandle.standardOutput.write(Data("\r\u{1B}[2K  \(progress.line)".utf8))
            }
        } catch let failure as RushFailure {
            throw failure
        } catch {
            throw RushFailure("the service at \(place) cannot be reached: \(error)")
        }
        if Console.isTerminal { FileHandle.standardOutput.write(Data("\r\u{1B}[2K".utf8)) }
        Console.print(result.table)
        return result
    }
}

struct DemoCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "demo", abstract: "The service with everything embedded, after a short rush and a paused holder.")

    @OptionGroup var options: ServeOptions

    @Flag(help: "End after the rush.")
    var once = false

    @Option(help: "How many buyers come.")
    var buyers = 1_500

    @Option(help: "How many units they want.")
    var units = 100

    func run() async throws {
        guard options.store.isGiven else {
            // Nothing is left of a demonstration.
            let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
                "reservations-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
            defer { try? FileManager.default.removeItem(at: folder) }
            return try await run(store: "sqlite:\(folder.path)/reservations.sqlite")
        }
        try await run(store: options.store.value)
    }

    private func run(store: String) async throws {
        var server = options.server(logLevel: .warning)
        server.settings.store = store
        server.signals = [.sigterm, .sigint]
        let token = server.settings.adminToken ?? Caller.makeSecret()
        server.settings.adminToken = token
        let demo = Demonstration(token: token, buyers: buyers, units: units, isOver: once)
        if once {
            try await server.run(while: { try await demo.show($0) })
        } else {
            try await server.run(while: { running in
                try await demo.show(running)
                Console.print("\nServing until Ctrl-C: \(running.url)   operator: \(running.url)/operator#\(token)")
                while !Task.isCancelled {
                    try? await Task.sleep(for: .milliseconds(200))
                }
            })
        }
    }
}

struct PausedHolderCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "paused-holder", abstract: "Part of the demonstration.", shouldDisplay: false)

    @OptionGroup var store: StoreOption
    @OptionGroup var nodes: NodeOption

    @Option var item: String

    func run() async throws {
        try await PausedHolder(store: store.value, nodes: nodes.value, item: item).run()
    }
}
