import Foundation
import Testing

@testable import Reservations

@Suite("The board of those who wait in a line", .timeLimit(.minutes(1)))
struct TicketBoardTests {
    private static let name = RequestName(caller: "ann", key: "k")
    private static let refusal = BatchOutcome.Verdict(name, .skipped)

    private func openBoard() throws -> TicketBoard {
        let board = TicketBoard(partitions: 1)
        _ = try #require(board.open())
        return board
    }

    /// The last thing that is told.
    private func last(_ news: AsyncStream<TicketNews>) async -> TicketNews? {
        var last: TicketNews?
        for await item in news { last = item }
        return last
    }

    @Test("What was decided of an earlier request is not told to one that came again with the same key")
    func earlierDecision() async throws {
        let board = try openBoard()
        let early = board.observe(Self.name, partition: 0, number: 5, wanted: nil, isNew: true)
        // Decided, and sent again before that was told here.
        let late = board.observe(Self.name, partition: 0, number: 9, wanted: nil, isNew: true)
        board.settle([Self.refusal], in: 0, served: 5)
        board.settle(Self.name, in: 0, number: 5, .decided(.skipped))
        #expect(board.observers(of: Self.name) == 2, "both wait for the later one")
        board.settle([Self.refusal], in: 0, served: 9)
        for news in [early, late] {
            guard case .decided(.skipped) = await last(news) else {
                Issue.record("No decision was told.")
                return
            }
        }
    }

    @Test("A decision is what is heard last, however the line moves meanwhile")
    func decisionAndStanding() async throws {
        for _ in 0..<200 {
            let board = try openBoard()
            let names = (0..<50).map { RequestName(caller: "caller \($0)", key: "k") }
            let streams = names.enumerated().map { index, name in
                board.observe(name, partition: 0, number: Int64(index + 1), wanted: nil, isNew: true)
            }
            await withTaskGroup(of: Void.self) { group in
                group.addTask {
                    for served in 1...20 {
                        board.note(served: [Int64(served)])
                        board.tellStandings(in: 0, interval: .zero)
                    }
                }
                group.addTask { board.settle(names.map { .init($0, .skipped) }, in: 0, served: 50) }
            }
            for news in streams {
                guard case .decided(.skipped) = await last(news) else {
                    Issue.record("A decision was lost.")
                    return
                }
            }
        }
    }
}
