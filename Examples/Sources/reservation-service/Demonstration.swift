import ArgumentParser
import RedislockKit
import ReservationServiceKit

/// What the demonstration shows before it goes on serving.
struct Demonstration: Sendable {
    let token: String
    let buyers: Int
    let units: Int
    let isOver: Bool

    func show(_ running: Server.Running) async throws {
        Console.print("The page: \(running.url)")
        Console.print("\nA rush: everybody wants the same, under the distributed lock")
        var plan = RushPlan(url: running.url, item: "drop-locked")
        (plan.units, plan.buyers, plan.seconds, plan.adminToken) = (units, buyers, 5, token)
        let result = try await RushOnTerminal(plan).run()
        Console.print("\nA holder is paused past its lease, and writes late")
        let report = try await StaleFenceDrill(running.shop, item: "poster").run()
        Console.print("  its token       \(report.staleToken)")
        Console.print("  another wrote   \(report.winningToken)")
        Console.print("  stale fences refused: \(report.refused)")
        Console.print("  done again with \(report.secondToken)")
        guard result.isClean, report.refused >= 1 else { throw ExitCode(1) }
        if isOver {
            Console.print("\noversell \(result.oversell), lost \(result.lost), duplicates \(result.duplicates)")
        }
    }
}
