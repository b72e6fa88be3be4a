import Foundation

/// Lets the buyers in, in an open loop: they come when they come, however long the others take. Then counts.
package struct Rush: Sendable {
    package let plan: RushPlan
    private let book = RushBook()

    package init(_ plan: RushPlan) {
        self.plan = plan
    }

    package var progress: RushProgress { book.progress }

    /// - Parameters:
    ///   - report: told twice in a second.
    ///   - beforeCounting: what has to be over before buyers without an answer ask for the last time.
    package func run(
        report: @escaping @Sendable (RushProgress) -> Void = { _ in },
        beforeCounting: @Sendable () async throws -> Void = {}
    ) async throws -> RushResult {
        try await RushClient.with(plan) { client in
            if plan.units > 0 { try await stock(client) }
            let count = try await RushCount(plan: plan, client: client, book: book)
            let start = ContinuousClock.now
            await withTaskGroup(of: Void.self) { group in
                group.addTask { await letBuyersIn(client, from: start) }
                group.addTask {
                    while !Task.isCancelled {
                        try? await Task.sleep(for: .milliseconds(500))
                        report(timed(since: start))
                    }
                }
                // The buyers; the reporter goes on until it is told.
                await group.next()
                group.cancelAll()
            }
            report(timed(since: start))
            let duration = ContinuousClock.now - start
            book.crowdIsOver()
            try await beforeCounting()
            await askOnceMore()
            return try await count.result(duration)
        }
    }

    private func timed(since start: ContinuousClock.Instant) -> RushProgress {
        var progress = book.progress
        progress.elapsed = ContinuousClock.now - start
        return progress
    }

    private func stock(_ client: RushClient) async throws {
        guard let token = plan.adminToken else {
            throw RushFailure("--units needs --admin-token: only an operator adds units")
        }
        let answer = try await client.ask(
            .POST, "/v1/admin/items/\(plan.item)/stock", token: token, key: "rush-stock-\(UUID().uuidString)",
            body: "{\"delta\":\(plan.units),\"reason\":\"rush\"}")
        guard answer.status == 200 else { throw RushFailure("the units were not added: \(answer.code)") }
    }

    private func letBuyersIn(_ client: RushClient, from start: ContinuousClock.Instant) async {
        await withDiscardingTaskGroup { buyers in
            for number in 0..<plan.buyers {
                let came = start + .seconds(plan.seconds * Double(number) / Double(max(1, plan.buyers)))
                if came > .now { try? await Task.sleep(until: came, clock: .continuous) }
                guard !Task.isCancelled else { return }
                var buyer = RushBuyer(number: number, client: client, plan: plan, book: book, came: came)
                buyer.fate = fate()
                buyer.repetition = repetition()
                guard book.arrived(buyer, limit: plan.maximumOutstanding) else { continue }
                buyers.addTask { [buyer] in book.ended(number, await buyer.run()) }
            }
        }
    }

    private func fate() -> RushBuyer.Fate {
        guard plan.isLifecycle else { return .confirm }
        return switch Int.random(in: 0..<100) {
        case ..<40: .confirm
        case ..<70: .cancel
        default: .leave
        }
    }

    private func repetition() -> RushBuyer.Repetition {
        guard Double.random(in: 0..<100) < plan.duplicatePercent else { return .never }
        return Bool.random() ? .atOnce : .later
    }

    /// Whoever has no answer asks again, now that there is no crowd: what he asked for may have happened. And where one process
    /// may have forgotten what another knew, all others ask again, too: whoever has a reservation must be told of the same one.
    private func askOnceMore() async {
        _ = await Self.map(book.stories.filter { $0.story.end == .unanswered }) { buyer, _ in
            book.corrected(buyer.number, await buyer.runAgain())
        }
        _ = await Self.map(book.stories) { buyer, story in
            if let id = story.id {
                book.repeated(await buyer.finds(id))
            } else if plan.urls.count > 1 {
                book.corrected(buyer.number, await buyer.runAgain())
            }
        }
    }

    /// A few at a time; what comes of them in any order.
    static func map<Element: Sendable, Output: Sendable>(
        _ elements: [Element], _ body: @escaping @Sendable (Element) async -> Output
    ) async -> [Output] {
        await withTaskGroup(of: Output.self) { group in
            var waiting = elements[...]
            var outputs: [Output] = []
            for _ in 0..<32 {
                if let next = waiting.popFirst() { group.addTask { await body(next) } }
            }
            while let output = await group.next() {
                outputs.append(output)
                if let next = waiting.popFirst() { group.addTask { await body(next) } }
            }
            return outputs
        }
    }
}
