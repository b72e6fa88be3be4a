import ArgumentParser
import Foundation
import RedislockKit
import ReservationServiceKit

@main
struct ServiceChaos: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "service-chaos",
        abstract: "Three processes of the service are killed and stopped under a rush, and Redis forgets everything.",
        discussion: """
            Everything is started here, on free ports and in temporary folders, and gone afterwards.

            EXIT STATUS
              0   nothing was oversold, lost, sold twice or left unanswered, the book adds up, and
                  every process sells again by itself
              1   otherwise
            """)

    @Option(help: "The built reservation-service; default: the one beside this program.")
    var program: String?

    @Option(help: "locked, atomic, queued, ...; repeated for several, which then are all rushed at the same time.")
    var strategy: [StrategyName] = [.queued, .locked, .atomic]

    @Option(help: "Over how many seconds buyers come.")
    var seconds = 30.0

    @Option(help: "How many buyers of each strategy come in a second.")
    var buyers = 40.0

    func validate() throws {
        guard (1...3_600).contains(seconds), (0.1...10_000).contains(buyers) else {
            throw ValidationError("1 to 3600 seconds, 0.1 to 10000 buyers")
        }
    }

    func run() async throws {
        // Whoever is written to may just have been killed.
        signal(SIGPIPE, SIG_IGN)
        let own = Bundle.main.executableURL?.deletingLastPathComponent().appendingPathComponent("reservation-service")
        guard let program = program ?? own?.path, FileManager.default.isExecutableFile(atPath: program) else {
            throw ValidationError(
                "there is no reservation-service beside this program: build it, or name it by --program")
        }
        let chaos = Chaos(program: program, strategies: strategy, seconds: seconds, buyersPerSecond: buyers)
        let flaws = try await chaos.run()
        for flaw in flaws { Console.print("WRONG: \(flaw)") }
        // Each strategy is one; what is wrong with the whole fails at least one of them.
        let failed = min(flaws.count, strategy.count)
        Console.print("\(strategy.count - failed) passed, \(failed) failed")
        if failed > 0 { throw ExitCode(1) }
    }
}

extension StrategyName: ExpressibleByArgument {}
