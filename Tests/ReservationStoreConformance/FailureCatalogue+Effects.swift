import Reservations

extension StoreConformance {
    /// Reported as alfio-event/alf.io#1421, medusajs/medusa#16825, emfcamp/Website#1901.
    package static let paidThenLost = ConformanceCheck("F10: A booking whose answer was lost is not lost") { rig in
        let shirt = try await rig.stock(.counted("shirt"), 9)
        let breaks = Tally()
        // Every other answer is lost.
        let flaky = FlakyStore(rig.store) { breaks.add() % 2 == 1 ? .answerLost : nil }
        let service = try rig.service(over: flaky)
        let held = try await expectHeld { () async throws(ReservationError) in
            try await service.reserve([Line(shirt)], for: "ann", key: "click")
        }
        try await rig.expect(shirt, held: 1)
        for _ in 0..<3 {
            let confirmed = try await expectHeld { () async throws(ReservationError) in
                try await service.confirm(held.id, for: "ann", key: "payment")
            }
            try same(confirmed.state, .confirmed, "State")
        }
        try await rig.expect(shirt, held: 0, sold: 1)
        // A client that knows nothing but its key, of another process.
        let other = try rig.service()
        let again = try await expectHeld { () async throws(ReservationError) in
            try await other.reserve([Line(shirt)], for: "ann", key: "click")
        }
        try same(again.id, held.id, "The booking that the key finds")
        try await rig.expect(shirt, held: 0, sold: 1)
    }

    package static let latePayment = ConformanceCheck(
        "F10: A late payment is refused or takes the units again, never in silence"
    ) {
        rig in
        let seat = try await rig.stock(.seat("hall", "A1"), 1)
        let strict = try rig.service()
        let late = try await strict.reserve([Line(seat)], for: "ann")
        try await rig.harness.age(late.id, by: .seconds(700))
        let error = try await refusal { () async throws(ReservationError) in
            try await strict.confirm(late.id, for: "ann")
        }
        try same(error.code.name, "hold-expired", "The refusal")
        let lenient = try rig.service { $0.lateConfirmation = .rehold }
        for _ in 0..<2 {
            let confirmed = try await lenient.confirm(late.id, for: "ann")
            try check(confirmed.id != late.id && confirmed.state == .confirmed, "Confirmed what had expired.")
        }
        try await rig.expect(seat, held: 0, sold: 1)
        // What others hold whose time is up is free for a late confirmation, too.
        let third = try await rig.stock(.seat("hall", "A3"), 1)
        let first = try await strict.reserve([Line(third)], for: "ann")
        try await rig.harness.age(first.id, by: .seconds(700))
        let second = try await strict.reserve([Line(third)], for: "bob")
        try await rig.harness.age(second.id, by: .seconds(700))
        try same(try await lenient.confirm(first.id, for: "ann").state, .confirmed, "Beside an overdue hold")
        let other = try await rig.stock(.seat("hall", "A2"), 1)
        let gone = try await strict.reserve([Line(other)], for: "ann")
        try await rig.harness.age(gone.id, by: .seconds(700))
        _ = try await strict.reserve([Line(other)], for: "bob")
        let taken = try await refusal { () async throws(ReservationError) in
            try await lenient.confirm(gone.id, for: "ann")
        }
        try same(taken.code.name, "seat-unavailable", "The refusal")
    }

    /// Reported as microsoftarchive/cqrs-journey#348; OWASP automated threats OAT-021 and OAT-005.
    package static let hoarding = ConformanceCheck("F13: Nobody holds everything and pays for nothing") { rig in
        let shirt = try await rig.stock(.counted("shirt"), 50)
        let service = try rig.service { $0.limits.liveHoldsPerHolder = 4 }
        let outcomes = try await together(20) { _ in
            try await outcome { () async throws(ReservationError) in
                try await service.reserve([Line(shirt)], for: "ann")
            }
        }
        try same(outcomes.count { $0.held != nil }, 4, "Held")
        for case .failure(let error) in outcomes {
            try same(error.code, .holdLimit(limit: 4, current: 4), "The refusal")
        }
        _ = try await service.reserve([Line(shirt)], for: "bob")
    }

    /// Reported as nopSolutions/nopCommerce#8085, openfoodfoundation/openfoodnetwork#5300.
    package static let lostUpdates = ConformanceCheck("F14: Counters lose no update") { rig in
        let shirt = try await rig.stock(.counted("shirt"), 60)
        let service = try rig.service()
        _ = try await together(30) { index in
            let buyer = "buyer \(index)"
            let held = try await expectHeld { () async throws(ReservationError) in
                try await service.reserve([Line(shirt)], for: buyer)
            }
            switch index % 3 {
            case 0: _ = try await service.confirm(held.id, for: buyer)
            case 1: _ = try await service.cancel(held.id, for: buyer)
            default: _ = try await service.restock(shirt, by: 1, actor: "stock")
            }
        }
        try await rig.expect(shirt, held: 10, sold: 10)
        try same(try await rig.state(of: shirt).capacity, 70, "Capacity")
    }

    /// Reported of Spree's `idempotent.rb` and pretix's idempotency middleware.
    package static let recordApart = ConformanceCheck("F15: A request and its record are one transaction") { rig in
        let shirt = try await rig.stock(.counted("shirt"), 50)
        let claim = { rig.claim([Line(shirt)], key: key("click", "reserve")) }
        // Whatever becomes of the first, the second with its key makes it one reservation, not two.
        let first: ClaimOutcome?
        do throws(StoreError) {
            first = try await rig.store.claim(claim(), by: .atomic)
        } catch {
            first = nil
        }
        let second = try await rig.store.claim(claim(), by: .atomic)
        if first?.held != nil { _ = try second.expectReplayed() }
        try await rig.expect(shirt, held: 1)
        let service = try rig.service()
        let duplicates = try await together(12) { _ in
            try await outcome { () async throws(ReservationError) in
                try await service.reserve([Line(shirt)], for: "bob", key: "double click")
            }
        }
        let ids = Set(duplicates.compactMap { $0.held?.id })
        try same(ids.count, 1, "Reservations of a double click")
        for case .failure(let error) in duplicates {
            try same(error.code, .idempotencyInProgress, "A duplicate's refusal")
        }
        try await rig.expect(shirt, held: 2)
    }

    package static let alternatives = ConformanceCheck("Who finds a seat taken is offered those beside it") { rig in
        for row in ["A", "B"] {
            for number in 1...12 { try await rig.stock(.seat("hall", "\(row)\(number)"), 1) }
        }
        let service = try rig.service()
        _ = try await service.reserve([6, 7, 9].map { Line(.seat("hall", "A\($0)")) }, for: "bob")
        let error = try await refusal { () async throws(ReservationError) in
            try await service.reserve([Line(.seat("hall", "A7")), Line(.seat("hall", "A8"))], for: "ann")
        }
        guard case .seatUnavailable(let conflicts, let yours, let alternatives) = error.code else {
            throw ContractViolation("It came to \(error).")
        }
        try same(conflicts, [.seat("hall", "A7")], "Conflicts")
        try same(yours, [], "Own")
        try same(alternatives.map(\.label), ["A5", "A10", "A4", "A11", "A3"], "Alternatives")
    }
}
