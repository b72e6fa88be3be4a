import Foundation
import Metrics
import RedislockKit
import Reservations
import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

/// Pauses a holder past its lease, lets another one write, and sees that the late write is refused.
package struct StaleFenceDrill: Sendable {
    package struct Report: Sendable {
        /// What the paused holder had.
        package let staleToken: Int64
        /// With what another wrote meanwhile: greater.
        package let winningToken: Int64
        /// How often the row refused the paused holder.
        package let refused: Int
        /// With what it did its work again: greater still.
        package let secondToken: Int64
    }

    let shop: Shop
    let item: String
    let program: String?

    /// - Parameter program: `reservation-service` itself; this program where it is `nil`.
    package init(_ shop: Shop, item: String, program: String? = nil) {
        self.shop = shop
        self.item = item
        self.program = program
    }

    package func run() async throws -> Report {
        guard let program = program ?? Bundle.main.executablePath else {
            throw RushFailure("this program does not know its path")
        }
        var arguments = ["paused-holder", "--store", shop.settings.store, "--item", item]
        for url in shop.settings.nodes.urls { arguments += ["--node", url] }
        var options = PlatformOptions()
        options.teardownSequence = [.send(signal: .kill, allowedDurationToNextStep: .seconds(1))]
        let report = try await Subprocess.run(
            .path(FilePath(program)), arguments: Arguments(arguments), platformOptions: options,
            input: .none, output: .sequence, error: .discarded
        ) { execution in
            var staleToken: Int64 = 0
            var winningToken: Int64 = 0
            for try await line in execution.standardOutput.strings() {
                let words = line.split(whereSeparator: \.isWhitespace)
                switch words.first {
                case "PAUSED":
                    staleToken = Int64(words.dropFirst().first ?? "") ?? 0
                    // Waits until the paused holder's lease is over, which nobody renews.
                    winningToken = try await writeMeanwhile()
                    try execution.send(signal: .resume)
                case "HELD" where words.count == 3:
                    return Report(
                        staleToken: staleToken, winningToken: winningToken, refused: Int(words[2]) ?? 0,
                        secondToken: Int64(words[1]) ?? 0)
                default: break
                }
            }
            throw RushFailure("the paused holder ended without a word")
        }.closureResult
        // The holder is a process of this service: what its rows refused is counted with ours.
        Counter(label: "reservations_stale_fences_total").increment(by: report.refused)
        shop.tally.count(item) { $0.staleFences += report.refused }
        return report
    }

    private func writeMeanwhile() async throws -> Int64 {
        let notes = RequestNotes()
        let holder = "drill-\(UUID().uuidString)"
        let held = try await RequestNotes.$current.withValue(notes) {
            try await shop.service.reserve([Line(.counted(item))], for: holder)
        }
        _ = try await shop.service.cancel(held.id, for: holder)
        return notes.values.fencingToken ?? 0
    }
}
