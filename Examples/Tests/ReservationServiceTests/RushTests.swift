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
            #expect(result.isClean)
            #expect(result.confirmed == 10)
            #expect(result.soldOut == 50)
            #expect(result.findings == 0)
            #expect(result.accepted.count == 10)
            #expect(service.shop.tally.counts(of: plan.item).held == 10)
        }
    }

    @Test("Cancelled and abandoned holds come back, and nothing is stuck")
    func lifecycle() async throws {
        try await TestService.with { service in
            var plan = RushPlan(url: service.running.url, item: "drop-atomic")
            (plan.units, plan.buyers, plan.seconds, plan.isLifecycle) = (50, 40, 0.5, true)
            plan.adminToken = TestService.adminToken
            let result = try await Rush(plan).run()
            #expect(result.isClean)
            #expect(result.confirmed + result.cancelled + result.leftToExpire == 40)
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

    @Test("One of each: what was sold twice, lost, or sold without a word is not clean")
    func verdicts() {
        #expect(RushResult().isClean)
        for key: WritableKeyPath<RushResult, Int> in [\.oversell, \.lost, \.duplicates, \.stuck] {
            var result = RushResult()
            result[keyPath: key] = 1
            #expect(!result.isClean)
        }
        var result = RushResult()
        result.findings = 1
        #expect(!result.isClean)
    }
}
