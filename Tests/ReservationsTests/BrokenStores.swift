import Foundation
import ReservationStoreConformance
import Reservations
import Synchronization

/// Waits for company: the first who come go on together. Afterwards nobody waits, and nobody waits long in vain.
final class Rendezvous: Sendable {
    private let arrived = Tally()

    func meet() async {
        arrived.add()
        for _ in 0..<50_000 where arrived.value < 2 { await Task.yield() }
    }
}

extension Book {
    /// Writes a hold without asking anything: what an application does whose schema has no constraints.
    mutating func writeUnchecked(_ claim: Claim, at now: Date) {
        for line in claim.cart.lines { rows[line.bucket]?.held += line.quantity }
        writeReservation(of: claim, at: now)
    }

    /// All but the counters.
    mutating func writeReservation(of claim: Claim, at now: Date) {
        reservations[claim.id] = claim.reservation(at: now)
        holds.insert(claim.id)
        for line in claim.cart.lines {
            ledger.append(
                LedgerEntry(
                    sequence: (ledger.last?.sequence ?? 0) + 1, bucket: line.bucket, reservation: claim.id, kind: .hold,
                    capacityDelta: 0, heldDelta: line.quantity, soldDelta: 0, fence: 0, actor: claim.holder, at: now))
        }
    }
}

extension Claim {
    func reservation(at now: Date) -> Reservation {
        Reservation(
            id: id, holder: holder, lines: cart.lines, state: .held,
            expiresAt: now.addingTimeInterval(ttl / .seconds(1)),
            hardDeadline: now.addingTimeInterval(totalHold / .seconds(1)), createdAt: now, resolvedAt: nil)
    }

    /// The same with something else in it.
    func with(
        id: ReservationID? = nil, limit: Int?? = .none, request: RequestKey?? = .none
    ) -> Claim {
        Claim(
            id: id ?? self.id, holder: holder, cart: cart, ttl: ttl, totalHold: totalHold,
            maximumLiveHolds: limit ?? maximumLiveHolds, request: request ?? self.request)
    }
}

/// F1: looks in one transaction, writes in another.
struct ChecksThenWrites: StoreWrapper {
    let memory: InMemoryReservationStore
    let rendezvous = Rendezvous()
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        let states = try await inner.states(of: claim.cart.buckets)
        let available = Dictionary(states.map { ($0.bucket, $0.available) }, uniquingKeysWith: { $1 })
        guard claim.cart.lines.allSatisfy({ available[$0.bucket, default: 0] >= $0.quantity }) else {
            return try await inner.claim(claim, by: rule)
        }
        await rendezvous.meet()
        return try memory.withBook { book, now in
            book.writeUnchecked(claim, at: now)
            return .held(claim.reservation(at: now))
        }
    }
}

/// F2: checks each line by itself.
struct ChecksLineByLine: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try memory.withBook { book, now throws(StoreError) in
            for line in claim.cart.lines where (book.state(of: line.bucket)?.available ?? 0) < line.quantity {
                return try book.claim(claim, by: rule, now: now)
            }
            book.writeUnchecked(claim, at: now)
            return .held(claim.reservation(at: now))
        }
    }
}

/// F6: keeps the rows locked until the buyer has paid.
struct LocksWhilePaying: StoreWrapper {
    let inner: any ReservationStore
    private let locked = Locked()

    private final class Locked: Sendable {
        let holders = Mutex<[Bucket: ReservationID]>([:])
    }

    init(_ inner: any ReservationStore) {
        self.inner = inner
    }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        let isFree = locked.holders.withLock { holders in
            guard claim.cart.buckets.allSatisfy({ holders[$0] == nil || holders[$0] == claim.id }) else { return false }
            for bucket in claim.cart.buckets { holders[bucket] = claim.id }
            return true
        }
        guard isFree else { throw StoreError(.busy, "Somebody is paying.") }
        return try await inner.claim(claim, by: rule)
    }

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        let outcome = try await inner.resolve(resolution)
        locked.holders.withLock { holders in holders = holders.filter { $0.value != resolution.id } }
        return outcome
    }
}

/// F7: counts the holder's own holds as those of others.
struct CountsOwnAsOthers: StoreWrapper {
    let inner: any ReservationStore

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        guard case .short(let shortages) = try await inner.claim(claim, by: rule) else {
            return try await inner.claim(claim, by: rule)
        }
        return .short(
            shortages.map {
                Shortage(
                    bucket: $0.bucket, requested: $0.requested, state: $0.state, heldByHolder: 0,
                    heldByOthers: $0.heldByOthers + $0.heldByHolder,
                    nextReleaseAt: $0.nextReleaseAt ?? $0.asOf.addingTimeInterval(60), asOf: $0.asOf)
            })
    }
}

/// F8: a cancellation changes the reservation and leaves the counter.
struct CancelsWithoutFreeing: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        let outcome = try await inner.resolve(resolution)
        if case .done(let reservation) = outcome, resolution.kind == .cancel {
            try memory.withBook { book, _ in
                for line in reservation.lines { book.rows[line.bucket]?.held += line.quantity }
            }
        }
        return outcome
    }
}

/// F9: holds stay counted when their time is up.
struct NeverExpires: StoreWrapper {
    let inner: any ReservationStore

    func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] { [] }
}

/// F9: holds whose time is up count against their holder's limit.
struct CountsOverdueHolds: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try memory.withBook { book, now throws(StoreError) in
            let current = book.holds.count { book.reservations[$0]?.holder == claim.holder }
            if let limit = claim.maximumLiveHolds, current >= limit { return .holdLimit(current: current) }
            return try book.claim(claim.with(limit: .some(nil)), by: rule, now: now)
        }
    }
}

/// F10: takes a repeated request for a new one.
struct ForgetsRequests: StoreWrapper {
    let inner: any ReservationStore

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await inner.claim(claim.with(id: .make(), request: .some(nil)), by: rule)
    }
}

/// F10: tells who repeats a confirmation that it is too late.
struct RefusesRepetition: StoreWrapper {
    let inner: any ReservationStore

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        let outcome = try await inner.resolve(resolution)
        if case .repeated(let reservation) = outcome { return .conflict(reservation) }
        return outcome
    }
}

/// F10: confirms what has expired as though nothing had happened.
struct ConfirmsLateInSilence: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try memory.withBook { book, now in
            if resolution.kind == .confirm, let old = book.reservations[resolution.id], old.state == .held {
                book.reservations[resolution.id] = old.held(until: now.addingTimeInterval(60))
            }
        }
        return try await inner.resolve(resolution)
    }
}

/// F10: a late confirmation makes a new reservation each time it is sent.
struct ReplacesEachTime: StoreWrapper {
    let inner: any ReservationStore

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try await inner.resolve(
            Resolution(
                id: resolution.id, holder: resolution.holder, kind: resolution.kind,
                replacement: resolution.replacement.map { _ in .make() }, actor: resolution.actor,
                request: resolution.request))
    }
}
