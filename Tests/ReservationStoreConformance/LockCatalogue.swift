import RedisLocks
import Reservations
import Synchronization

/// The failures of distributed locks. The rig's strategy must use the rig's locks under the names `rsv:` + bucket.
extension StoreConformance {
    package static let lockCatalogue: [ConformanceCheck] = [
        holderInLockName, releasedBeforeCommit, partialLocks, staleHolder, waiterWalksAway,
    ]

    /// Reported as hoangdaochuz/booking#27.
    package static let holderInLockName = ConformanceCheck("F3: The lock keeps different holders apart") { rig in
        let shirt = try await rig.stock(.counted("shirt"), 50)
        let (inside, most) = (Tally(), Tally())
        var probe = ProbedStore(inner: rig.store)
        probe.onClaim = { _, _ in
            let now = inside.add()
            if now > most.value { most.add(now - most.value) }
            // Long enough for those who can come to come.
            for _ in 0..<2_000 where most.value < 2 { await Task.yield() }
        }
        probe.onClaimed = { _, _, _ in inside.add(-1) }
        let service = try rig.service(over: probe)
        _ = try await together(12) { index in
            try await expectHeld { () async throws(ReservationError) in
                try await service.reserve([Line(shirt)], for: "buyer \(index)")
            }
        }
        try same(most.value, 1, "At the row at once")
        try await rig.expect(shirt, held: 12)
    }

    /// Reported as SandeepVashishtha/Eventra#18520.
    package static let releasedBeforeCommit = ConformanceCheck("F4: The lock is held until the transaction is over") {
        rig in
        let shirt = try await rig.stock(.counted("shirt"), 5)
        guard let locks = rig.locks else { throw ContractViolation("The rig has no locks.") }
        let found = Mutex<[Bool]>([])
        let look = { @Sendable (_: Claim, _: ClaimRule) async in
            // By another task, as others look: locks are not reentrant.
            let isFree = await Task.detached {
                (try? await locks.withLockIfAvailable("rsv:shirt") { _ in true }) ?? false
            }.value
            found.withLock { $0.append(isFree) }
        }
        var probe = ProbedStore(inner: rig.store)
        probe.onClaim = look
        probe.onClaimed = { claim, rule, _ in await look(claim, rule) }
        let service = try rig.service(over: probe)
        _ = try await expectHeld { () async throws(ReservationError) in
            try await service.reserve([Line(shirt)], for: "ann")
        }
        try same(found.withLock { $0 }, [false, false], "Whether the lock was free before and after the commit")
    }

    /// Reported as medusajs/medusa#16285, redisson/redisson#4050.
    package static let partialLocks = ConformanceCheck("F5: Carts that cross each other take all their locks or none") {
        rig in
        let buckets = [Bucket.counted("a"), .counted("b"), .counted("c")]
        for bucket in buckets { try await rig.stock(bucket, 40) }
        let service = try rig.service()
        _ = try await together(24) { index in
            let order = index % 2 == 0 ? buckets : buckets.reversed()
            return try await expectHeld { () async throws(ReservationError) in
                try await service.reserve(order.map { Line($0) }, for: "buyer \(index)")
            }
        }
        for bucket in buckets { try await rig.expect(bucket, held: 24) }
    }

    /// Reported of Solidus' `OrderMutex`, and true of every lock with a time to live whose store does not check.
    package static let staleHolder = ConformanceCheck("F11: The row refuses a holder that was paused past its lease") {
        rig in
        let seat = try await rig.stock(.seat("hall", "A1"), 1)
        guard let loseLease = rig.loseLease else { throw ContractViolation("The rig cannot take leases away.") }
        let (arrived, resume) = (Gate(), Gate())
        let refused = Tally()
        var probe = ProbedStore(inner: rig.store)
        probe.onClaim = { claim, rule in
            guard claim.holder == "paused", case .fenced = rule else { return }
            arrived.open()
            await resume.wait()
        }
        probe.onClaimed = { claim, _, outcome in
            if claim.holder == "paused", case .staleFence = outcome { refused.add() }
        }
        let service = try rig.service(over: probe)
        async let paused = outcome { () async throws(ReservationError) in
            try await service.reserve([Line(seat)], for: "paused")
        }
        await arrived.wait()
        try await loseLease("rsv:" + seat.lockName)
        let quick = try await expectHeld { () async throws(ReservationError) in
            try await service.reserve([Line(seat)], for: "quick")
        }
        _ = try await service.cancel(quick.id, for: "quick")
        // The seat is free again: only the fence tells that the paused holder is too late.
        resume.open()
        let late = try await paused
        try same(refused.value, 1, "Writes of the paused holder that the row refused")
        // It took the lock anew, with a new token, and was served then.
        try check(late.held != nil, "The paused holder was not served with a new lease: \(late).")
        try await rig.expect(seat, held: 1)
    }

    /// Reported as aws-solutions/virtual-waiting-room-on-aws#154.
    package static let waiterWalksAway = ConformanceCheck("F12: A waiter that walks away does not stop those behind it")
    { rig in
        let shirt = try await rig.stock(.counted("shirt"), 5)
        let (arrived, resume) = (Gate(), Gate())
        var probe = ProbedStore(inner: rig.store)
        probe.onClaim = { claim, _ in
            guard claim.holder == "first" else { return }
            arrived.open()
            await resume.wait()
        }
        let service = try rig.service(over: probe)
        let reserve = { (holder: String) in
            Task {
                try await outcome { () async throws(ReservationError) in
                    try await service.reserve([Line(shirt)], for: holder)
                }
            }
        }
        let first = reserve("first")
        await arrived.wait()
        let gone = reserve("walks away")
        gone.cancel()
        _ = try await gone.value
        let third = reserve("third")
        resume.open()
        try check(try await first.value.held != nil, "The first was not served.")
        let limit = Task {
            try await Task.sleep(for: rig.patience)  // sleep: only a strategy that is stuck waits this long
            third.cancel()
        }
        let served = try await third.value.held != nil
        limit.cancel()
        try check(served, "The one behind the waiter that walked away was not served.")
    }
}
