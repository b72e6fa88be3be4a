/// Compares what the buyers were told with what the service has: item, book, reservations and guarantee check.
struct RushCount: Sendable {
    private let plan: RushPlan
    private let client: RushClient
    private let book: RushBook
    private let before: RushClient.Item
    /// The last entry of the item's book that is not of this rush.
    private let lastEntry: Int64

    /// Looks at the item as it is before.
    init(plan: RushPlan, client: RushClient, book: RushBook) async throws {
        (self.plan, self.client, self.book) = (plan, client, book)
        before = try await client.item(plan.item)
        guard let token = plan.adminToken else {
            lastEntry = 0
            return
        }
        lastEntry = try await client.ledger(of: plan.item, after: 0, token: token).last?.sequence ?? 0
    }

    func result(_ duration: Duration) async throws -> RushResult {
        let after = try await settled()
        var result = book.result
        result.duration = duration
        result.strategy = after.strategy
        result.capacity = after.capacity
        result.available = before.available
        result.stillHeld = max(0, after.held - before.held)
        // Of buyers who gave up, too: only who waited until every hold is over can say that one is stuck.
        result.stuck = plan.isLifecycle ? result.stillHeld : 0
        result.oversell = max(0, after.held + after.sold - after.capacity) + max(0, result.confirmed - before.available)
        result.lost = await changed()
        if let token = plan.adminToken {
            try await compareWithBook(&result, token)
            let answer = try await client.ask(.GET, "/v1/admin/invariants", token: token)
            guard let audit = answer.decode(RushClient.Audit.self) else {
                throw RushFailure("the guarantee check failed: \(answer.code)")
            }
            result.findings = audit.findings.count
        }
        let soldMore = after.sold - before.sold
        result.lost += max(0, result.confirmed - soldMore - result.lost)
        result.duplicates += max(0, soldMore - result.confirmed - result.unanswered)
        return result
    }

    /// The item once the holds that were left behind are over; after a while as it is.
    private func settled() async throws -> RushClient.Item {
        let end = ContinuousClock.now + (plan.isLifecycle ? plan.hold + .seconds(60) : .zero)
        while true {
            let item = try await client.item(plan.item)
            guard item.held > before.held, ContinuousClock.now < end, !Task.isCancelled else { return item }
            try await Task.sleep(for: .milliseconds(500))
        }
    }

    /// Whoever was told what became of his reservation must find it so.
    private func changed() async -> Int {
        let checks = await Rush.map(book.stories) { buyer, story in
            guard let id = story.id, let state = story.state, story.end != .left || plan.isLifecycle else {
                return true
            }
            let answer = try? await client.ask(.GET, "/v1/reservations/\(id)", token: buyer.token)
            return answer?.decode(RushClient.Held.self)?.state == state
        }
        return checks.filter { !$0 }.count
    }

    private func compareWithBook(_ result: inout RushResult, _ token: String) async throws {
        var ledger = RushLedger()
        for entry in try await client.ledger(of: plan.item, after: lastEntry, token: token) {
            switch entry.kind {
            case "hold": ledger.held += entry.heldDelta
            case "confirm": ledger.confirmed -= entry.heldDelta
            case "cancel": ledger.cancelled -= entry.heldDelta
            case "expire": ledger.expired -= entry.heldDelta
            default: break
            }
        }
        result.compare(with: ledger, told: book.stories.filter { $0.story.id != nil }.count)
    }
}
