import Foundation

/// Lets the buyers in, in an open loop: they come when they come, however long the others take. Then counts.
package struct Rush: Sendable {
    package let plan: RushPlan
    private let book = RushBook()
    /// Seconds: long enough to confirm, short enough to wait for.
    static let lifecycleHold = 5

    package init(_ plan: RushPlan) {
        self.plan = plan
    }

    package var progress: RushProgress { book.progress }

    /// - Parameter report: told twice in a second.
    package func run(
        report: @escaping @Sendable (RushProgress) -> Void = { _ in }
    ) async throws -> RushResult {
        try await RushClient.with(plan.url) { client in
            if plan.units > 0 { try await stock(client) }
            let before = try await client.item(plan.item)
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
            return try await count(client, before, ContinuousClock.now - start)
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
        let answer = try await client.send(
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
                guard book.arrived(limit: plan.maximumOutstanding) else { continue }
                let buyer = RushBuyer(
                    client: client, plan: plan, book: book, fate: fate(),
                    sendsTwice: Double.random(in: 0..<100) < plan.duplicatePercent, came: came)
                buyers.addTask { book.ended(await buyer.run()) }
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

    // MARK: Counting

    private func count(
        _ client: RushClient, _ before: RushClient.Item, _ duration: Duration
    ) async throws -> RushResult {
        let after = try await settled(client, before)
        var result = book.result
        result.duration = duration
        result.capacity = after.capacity
        result.available = before.available
        result.lost = await missing(client)
        let soldMore = after.sold - before.sold
        result.lost += max(0, result.confirmed - soldMore - result.lost)
        result.duplicates += max(0, soldMore - result.confirmed - book.unknown)
        result.oversell = max(0, after.held + after.sold - after.capacity) + max(0, result.confirmed - before.available)
        result.stillHeld = max(0, after.held - before.held)
        // Of buyers who gave up, too: only who waited until every hold is over can say that one is stuck.
        result.stuck = plan.isLifecycle ? result.stillHeld : 0
        if let token = plan.adminToken {
            let answer = try await client.send(.GET, "/v1/admin/invariants", token: token)
            result.findings = answer.decode(RushClient.Audit.self)?.findings.count
        }
        return result
    }

    /// The item once the holds that were left behind are over; after a while as it is.
    private func settled(_ client: RushClient, _ before: RushClient.Item) async throws -> RushClient.Item {
        let end = ContinuousClock.now + .seconds(plan.isLifecycle ? Self.lifecycleHold + 15 : 0)
        while true {
            let item = try await client.item(plan.item)
            guard item.held > before.held, ContinuousClock.now < end, !Task.isCancelled else { return item }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// Whoever was told "confirmed" must find it so.
    private func missing(_ client: RushClient) async -> Int {
        await withTaskGroup(of: Bool.self) { group in
            var waiting = book.confirmed[...]
            var missing = 0
            for _ in 0..<32 {
                if let next = waiting.popFirst() { group.addTask { await isConfirmed(next, client) } }
            }
            for await isThere in group {
                if !isThere { missing += 1 }
                if let next = waiting.popFirst() { group.addTask { await isConfirmed(next, client) } }
            }
            return missing
        }
    }

    private func isConfirmed(_ sale: (id: String, token: String), _ client: RushClient) async -> Bool {
        for _ in 0..<5 {
            if let answer = try? await client.send(.GET, "/v1/reservations/\(sale.id)", token: sale.token),
                answer.status < 500
            {
                return answer.decode(RushClient.Held.self)?.state == "confirmed"
            }
            try? await Task.sleep(for: .milliseconds(500))
        }
        return false
    }
}
