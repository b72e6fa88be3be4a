import ServiceLifecycle

/// Runs rushes that an operator asks for, one after the other, against this very service over HTTP.
actor RushDesk: Service {
    private enum State {
        case none
        case running(Rush, since: ContinuousClock.Instant)
        case done(RushResult, item: String)
        case failed(String)
    }

    private(set) var ownURL = ""
    private var state = State.none
    private let plans: AsyncStream<RushPlan>
    private let inbox: AsyncStream<RushPlan>.Continuation

    init() {
        (plans, inbox) = AsyncStream.makeStream()
    }

    func listens(at url: String) { ownURL = url }

    /// `false` when one is running.
    func start(_ plan: RushPlan) -> Bool {
        if case .running = state { return false }
        state = .running(Rush(plan), since: .now)
        inbox.yield(plan)
        return true
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            for await plan in self.plans { await self.carryOut(plan) }
        }
    }

    private func carryOut(_ plan: RushPlan) async {
        guard case .running(let rush, _) = state else { return }
        do {
            state = .done(try await rush.run(), item: plan.item)
        } catch {
            state = .failed("\(error)")
        }
    }

    func json() -> JSON {
        switch state {
        case .none: return .object([("state", .string("none"))])
        case .failed(let reason): return .object([("state", .string("failed")), ("reason", .string(reason))])
        case .running(let rush, let start):
            let progress = rush.progress
            return .object([
                ("state", .string("running")), ("item", .string(rush.plan.item)), ("buyers", .int(rush.plan.buyers)),
                ("arrived", .int(progress.arrived)), ("confirmed", .int(progress.confirmed)),
                ("soldOut", .int(progress.soldOut)), ("waiting", .int(progress.waiting)),
                ("elapsedSeconds", .number(((ContinuousClock.now - start) / .milliseconds(100)).rounded() / 10)),
            ])
        case .done(let result, let item):
            return .members([
                ("state", .string("done")), ("item", .string(item)), ("buyers", .int(result.offered)),
                ("dropped", .int(result.droppedByGenerator)), ("onSale", .int(result.available)),
                ("confirmed", .int(result.confirmed)), ("soldOut", .int(result.soldOut)),
                ("gaveUp", .int(result.gaveUp.values.reduce(result.unanswered, +))), ("retries", .int(result.retries)),
                ("oversell", .int(result.oversell)), ("lost", .int(result.lost)),
                ("duplicates", .int(result.duplicates)), ("findings", result.findings.map { .int($0) }),
                ("acceptedP50", result.accepted.percentile(50).map { .int(Int($0)) }),
                ("acceptedP99", result.accepted.percentile(99).map { .int(Int($0)) }),
                ("rejectedP50", result.rejected.percentile(50).map { .int(Int($0)) }),
                ("rejectedP99", result.rejected.percentile(99).map { .int(Int($0)) }),
                ("clean", .bool(result.isClean)),
            ])
        }
    }
}
