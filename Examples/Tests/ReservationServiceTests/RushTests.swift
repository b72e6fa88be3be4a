import Foundation
import ReservationServiceKit
import TestSupport
import Testing

@Suite("A rush")
struct RushTests {
    @Test(
        "Whatever the strategy, everything is sold once and nothing more", arguments: StoreKind.allCases,
        StrategyName.allCases)
    func flashSale(kind: StoreKind, strategy: StrategyName) async throws {
        try await TestService.with(kind) { service in
            var plan = RushPlan(url: service.running.url, item: "drop-\(strategy.rawValue)")
            (plan.units, plan.buyers, plan.seconds, plan.duplicatePercent) = (10, 60, 0.5, 20)
            plan.adminToken = TestService.adminToken
            let result = try await Rush(plan).run()
            #expect(result.isClean, "\(result.table)")
            #expect(result.confirmed == 10)
            #expect(result.soldOut == 50)
            #expect(result.findings == 0)
            // Who was answered when all was over, on a slow machine, has no latency.
            #expect(result.accepted.count + result.rejected.count + result.answeredLate == 60)
            #expect(result.confirmedByRepetition == 10)
            #expect(service.shop.tally.counts(of: plan.item).held == 10)
        }
    }

    @Test(
        "Whatever the strategy, every hold ends once: confirmed, cancelled or expired", arguments: StoreKind.allCases,
        StrategyName.allCases)
    func lifecycle(kind: StoreKind, strategy: StrategyName) async throws {
        try await TestService.with(kind) { service in
            var plan = RushPlan(url: service.running.url, item: "drop-\(strategy.rawValue)")
            (plan.units, plan.buyers, plan.seconds, plan.duplicatePercent) = (30, 40, 0.5, 30)
            (plan.isLifecycle, plan.hold) = (true, .seconds(2))
            plan.adminToken = TestService.adminToken
            let result = try await Rush(plan).run()
            #expect(result.isClean, "\(result.table)")
            #expect(result.ended == 40)
            let book = try #require(result.book)
            let refused = result.gaveUp.values.reduce(result.soldOut, +)
            #expect(book.held == result.ended - refused)
            #expect(book.held == book.confirmed + book.cancelled + book.expired)
            #expect(book.confirmed == result.confirmed)
            #expect(book.cancelled == result.cancelled)
            #expect(book.expired == result.leftToExpire + result.overtaken)
            let item = try await service.send(.GET, "/v1/items/\(plan.item)")
            #expect(item.json["held"] as? Int == 0)
            #expect(item.json["sold"] as? Int == result.confirmed)
        }
    }

    @Test("Without the token no units are added, and where no service is there is no rush")
    func failures() async throws {
        try await TestService.with { service in
            var plan = RushPlan(url: service.running.url, item: "drop-atomic")
            await #expect(throws: RushFailure.self) { _ = try await Rush(plan).run() }
            plan.item = "none"
            plan.units = 0
            await #expect(throws: RushFailure.self) { _ = try await Rush(plan).run() }
        }
    }

    @Test("A book that says more, less or something else than the buyers is found out")
    func books() {
        let told = { (ledger: RushLedger, change: (inout RushResult) -> Void) in
            var result = RushResult()
            (result.confirmed, result.cancelled, result.leftToExpire) = (4, 3, 3)
            change(&result)
            result.compare(with: ledger, told: 10)
            return result
        }
        let good = RushLedger(held: 10, confirmed: 4, cancelled: 3, expired: 3)
        #expect(told(good) { _ in }.isClean)
        #expect(told(RushLedger(held: 11, confirmed: 5, cancelled: 3, expired: 3)) { _ in }.duplicates == 1)
        #expect(told(RushLedger(held: 9, confirmed: 3, cancelled: 3, expired: 3)) { _ in }.lost == 1)
        #expect(told(RushLedger(held: 10, confirmed: 4, cancelled: 3, expired: 2)) { _ in }.unaccounted == 1)
        #expect(told(RushLedger(held: 10, confirmed: 4, cancelled: 3, expired: 2)) { $0.stillHeld = 1 }.isClean)
        #expect(told(RushLedger(held: 10, confirmed: 4, cancelled: 2, expired: 4)) { _ in }.unaccounted == 1)
        let more = told(RushLedger(held: 11, confirmed: 4, cancelled: 3, expired: 4)) { $0.unanswered = 1 }
        #expect(more.duplicates == 0)
        #expect(!more.isClean)
    }

    @Test("One of each: what was sold twice, lost, stuck, unanswered or does not add up is not clean")
    func verdicts() async throws {
        #expect(RushResult().isClean)
        for key: WritableKeyPath<RushResult, Int> in [
            \.oversell, \.lost, \.duplicates, \.stuck, \.unanswered, \.unaccounted,
        ] {
            var result = RushResult()
            result[keyPath: key] = 1
            #expect(!result.isClean)
        }
        var result = RushResult()
        result.findings = 1
        #expect(!result.isClean)
    }
}
