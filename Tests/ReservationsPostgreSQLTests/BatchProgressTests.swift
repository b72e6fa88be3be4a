import Testing

@testable import ReservationsPostgreSQL

@Suite("The answers of a pipeline")
struct BatchProgressTests {
    private let rows = Rows(columnCount: 1, values: ["1"], affected: 1)
    private let error = DatabaseError(.server, "no")

    private func run(_ steps: [BatchProgress.Step], _ events: [BatchProgress.Event]) -> [String] {
        var progress = BatchProgress(steps: steps)
        return events.map { event in
            switch progress.handle(event) {
            case .proceed: "proceed"
            case .prepared(_, let name): "prepared \(name)"
            case .finish(.success(let results)): "success \(results.count)"
            case .finish(.failure(let error)): "failure \(error)"
            case .confused: "confused"
            }
        }
    }

    @Test("all goes well")
    func success() {
        let told = run(
            [.prepare(sql: "a", name: "s1"), .execute, .execute, .synchronize],
            [
                .rows(Rows(columnCount: 0, values: [], affected: 0)), .endOfStep, .rows(rows), .endOfStep,
                .rows(Rows(columnCount: 0, values: [], affected: 2)), .endOfStep, .synchronized,
            ])
        #expect(told == ["proceed", "prepared s1", "proceed", "proceed", "proceed", "proceed", "success 2"])
    }

    @Test("an error skips the rest, and is the answer of all")
    func failure() {
        let told = run(
            [.execute, .prepare(sql: "a", name: "s1"), .execute, .synchronize],
            [.failed(error), .endOfStep, .skipped, .endOfStep, .skipped, .endOfStep, .synchronized])
        #expect(told.last == "failure no")
        #expect(!told.contains("prepared s1"))
        #expect(!told.contains("confused"))
    }

    @Test("an error at the commit itself is the answer, although each step had succeeded")
    func commitFails() {
        let told = run(
            [.execute, .synchronize], [.rows(rows), .endOfStep, .failed(error), .endOfStep, .synchronized])
        #expect(told.last == "failure no")
    }

    @Test("what nobody asked for is noticed")
    func confusion() {
        #expect(run([.execute, .synchronize], [.synchronized]) == ["confused"])
        #expect(run([.execute, .synchronize], [.endOfStep]) == ["confused"])
        #expect(run([.execute, .synchronize], [.skipped]) == ["confused"])
        #expect(run([.execute, .synchronize], [.rows(rows), .rows(rows)]) == ["proceed", "confused"])
        #expect(run([.synchronize], [.synchronized, .rows(rows)]) == ["success 0", "confused"])
    }
}
