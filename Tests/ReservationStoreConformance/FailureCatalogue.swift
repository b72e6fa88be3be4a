import Reservations

/// Failures that real systems had, each as a check that a system with the failure does not pass.
///
/// The names tell where they were reported.
extension StoreConformance {
    package static let catalogue: [ConformanceCheck] = [
        checkThenWrite, twiceInOneCart, paymentUnderLock, ownHold, cancelFrees, expiredFrees, paidThenLost, latePayment,
        hoarding, lostUpdates, recordApart, alternatives,
    ]

    /// Reported as vendurehq/vendure#3508, magento/magento2#25653, calcom/cal.diy#5820, LibreBooking/librebooking#147.
    package static let checkThenWrite = ConformanceCheck("F1: Check and write are one transaction") { rig in
        let shirt = try await rig.stock(.counted("shirt"), 3)
        let seat = try await rig.stock(.seat("hall", "A1"), 1)
        let service = try rig.service()
        let outcomes = try await together(24) { index in
            try await outcome { () async throws(ReservationError) in
                try await service.reserve([Line(index % 2 == 0 ? shirt : seat)], for: "buyer \(index)")
            }
        }
        try same(outcomes.count { $0.held?.lines.first?.bucket == shirt }, 3, "Shirts")
        try same(outcomes.count { $0.held?.lines.first?.bucket == seat }, 1, "Seats")
        for case .failure(let error) in outcomes {
            let name = error.code.name
            try check(["out-of-stock", "seat-unavailable"].contains(name), "A buyer was refused with \(name).")
        }
        try await rig.expect(shirt, held: 3)
    }

    /// Reported as medusajs/medusa#16502, verbb/events#129.
    package static let twiceInOneCart = ConformanceCheck("F2: The same item twice in a cart is counted together") {
        rig in
        let shirt = try await rig.stock(.counted("shirt"), 5)
        let service = try rig.service()
        let error = try await refusal { () async throws(ReservationError) in
            try await service.reserve([Line(shirt, quantity: 3), Line(shirt, quantity: 3)], for: "ann")
        }
        guard case .outOfStock(let shortfalls) = error.code else { throw ContractViolation("It came to \(error).") }
        try same(shortfalls.map(\.requested), [6], "Requested")
        let held = try await service.reserve([Line(shirt, quantity: 2), Line(shirt, quantity: 3)], for: "ann")
        try same(held.lines, [Line(shirt, quantity: 5)], "Lines")
    }

    /// Reported as saleor/saleor#11069.
    package static let paymentUnderLock = ConformanceCheck("F6: Nothing is locked while somebody pays") { rig in
        let shirt = try await rig.stock(.counted("shirt"), 3)
        let service = try rig.service()
        let paying = try await service.reserve([Line(shirt)], for: "ann")
        let other = try await service.reserve([Line(shirt)], for: "bob")
        _ = try await service.confirm(other.id, for: "bob")
        let third = try await service.reserve([Line(shirt)], for: "cid")
        _ = try await service.cancel(third.id, for: "cid")
        _ = try await service.confirm(paying.id, for: "ann")
        try await rig.expect(shirt, held: 0, sold: 2)
    }

    /// Reported as woocommerce/woocommerce#67354, #67931.
    package static let ownHold = ConformanceCheck("F7: A holder's own hold is not called another's") { rig in
        let shirt = try await rig.stock(.counted("shirt"), 3)
        let seat = try await rig.stock(.seat("hall", "A1"), 1)
        let service = try rig.service()
        _ = try await service.reserve([Line(shirt, quantity: 2), Line(seat)], for: "ann")
        let own = try await refusal { () async throws(ReservationError) in
            try await service.reserve([Line(shirt, quantity: 2)], for: "ann")
        }
        guard case .outOfStock(let mine) = own.code else { throw ContractViolation("It came to \(own).") }
        try same(mine.map(\.heldByOthers), [0], "Held by others, for the holder")
        try same(mine.map(\.heldByHolder), [2], "Held by the holder")
        try check(!own.isRetryable && own.retryAfter == nil, "The holder is told to wait for himself.")
        let others = try await refusal { () async throws(ReservationError) in
            try await service.reserve([Line(shirt, quantity: 2)], for: "bob")
        }
        guard case .outOfStock(let theirs) = others.code else { throw ContractViolation("It came to \(others).") }
        try same(theirs.map(\.heldByOthers), [2], "Held by others, for another")
        try check(others.isRetryable && others.retryAfter != nil, "Another is not told when to try again.")
        let taken = try await refusal { () async throws(ReservationError) in
            try await service.reserve([Line(seat)], for: "ann")
        }
        guard case .seatUnavailable([seat], [seat], _) = taken.code else {
            throw ContractViolation("It came to \(taken).")
        }
    }

    /// Reported as HiEventsDev/Hi.Events#466, #790, pretix/pretix#1405.
    package static let cancelFrees = ConformanceCheck("F8: What is cancelled or returned is free again") { rig in
        let seat = try await rig.stock(.seat("hall", "A1"), 1)
        let service = try rig.service()
        let first = try await service.reserve([Line(seat)], for: "ann")
        _ = try await service.cancel(first.id, for: "ann")
        _ = try await service.cancel(first.id, for: "ann")
        let second = try await expectHeld { () async throws(ReservationError) in
            try await service.reserve([Line(seat)], for: "bob")
        }
        _ = try await service.confirm(second.id, for: "bob")
        _ = try await service.giveBack(second.id, for: "bob")
        _ = try await expectHeld { () async throws(ReservationError) in
            try await service.reserve([Line(seat)], for: "cid")
        }
        try await rig.expect(seat, held: 1)
    }

    /// Reported as eventespresso/event-espresso-core#3324.
    package static let expiredFrees = ConformanceCheck("F9: Expired holds are free without waiting for a sweeper") {
        rig in
        let seat = try await rig.stock(.seat("hall", "A1"), 1)
        let service = try rig.service { $0.limits.liveHoldsPerHolder = 1 }
        let first = try await service.reserve([Line(seat)], for: "ann")
        try await rig.harness.age(first.id, by: .seconds(700))
        let second = try await expectHeld { () async throws(ReservationError) in
            try await service.reserve([Line(seat)], for: "ann")
        }
        try await rig.harness.age(second.id, by: .seconds(700))
        try same(try await service.sweep(), 1, "Swept")
        try await rig.expect(seat, held: 0)
        try check(try await rig.store.audit(grace: .zero).isClean, "Overdue holds stay.")
    }
}

/// What a buyer came to.
func outcome(
    _ body: () async throws(ReservationError) -> Reservation
) async throws -> Result<Reservation, ReservationError> {
    do throws(ReservationError) {
        return .success(try await body())
    } catch {
        return .failure(error)
    }
}

func expectHeld(_ body: () async throws(ReservationError) -> Reservation, line: Int = #line) async throws -> Reservation
{
    switch try await outcome(body) {
    case .success(let reservation): return reservation
    case .failure(let error): throw ContractViolation("A buyer who should be served is told: \(error) (\(line))")
    }
}

func refusal(_ body: () async throws(ReservationError) -> Reservation, line: Int = #line) async throws
    -> ReservationError
{
    switch try await outcome(body) {
    case .success(let reservation):
        throw ContractViolation("It should be refused and came to \(reservation) (\(line)).")
    case .failure(let error): return error
    }
}

extension Result<Reservation, ReservationError> {
    var held: Reservation? { try? get() }
}
