import Foundation
import ReservationStoreConformance
import Reservations
import Synchronization

/// F11: does not look at the token.
struct IgnoresFences: StoreWrapper {
    let inner: any ReservationStore

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        if case .fenced = rule { return try await inner.claim(claim, by: .atomic) }
        return try await inner.claim(claim, by: rule)
    }
}

/// F11: raises the fence although the claim was refused.
struct RaisesFencesInVain: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        let outcome = try await inner.claim(claim, by: rule)
        if case .fenced(let token) = rule, case .short = outcome {
            try memory.withBook { book, _ in
                for bucket in claim.cart.buckets { book.rows[bucket]?.fence = token }
            }
        }
        return outcome
    }
}

/// Does not look at the versions.
struct IgnoresVersions: StoreWrapper {
    let inner: any ReservationStore

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        if case .optimistic = rule { return try await inner.claim(claim, by: .atomic) }
        return try await inner.claim(claim, by: rule)
    }
}

/// F13: everybody may hold everything.
struct HasNoHoldLimit: StoreWrapper {
    let inner: any ReservationStore

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        try await inner.claim(claim.with(limit: .some(nil)), by: rule)
    }
}

/// F13: counts the holder's holds in one transaction, and makes the next in another.
struct CountsHoldsApart: StoreWrapper {
    let memory: InMemoryReservationStore
    let rendezvous = Rendezvous()
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        let current = try memory.withBook { book, _ in
            book.holds.count { book.reservations[$0]?.holder == claim.holder }
        }
        if let limit = claim.maximumLiveHolds, current >= limit { return .holdLimit(current: current) }
        // Only where it matters: at the last that is allowed.
        if let limit = claim.maximumLiveHolds, current == limit - 1 { await rendezvous.meet() }
        return try await inner.claim(claim.with(limit: .some(nil)), by: rule)
    }
}

/// F14: reads the counter, adds, and writes the sum.
struct ReadsThenWritesSums: StoreWrapper {
    let memory: InMemoryReservationStore
    let rendezvous = Rendezvous()
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        let states = try await inner.states(of: claim.cart.buckets)
        let held = Dictionary(states.map { ($0.bucket, $0.held) }, uniquingKeysWith: { $1 })
        await rendezvous.meet()
        return try memory.withBook { book, now in
            book.writeReservation(of: claim, at: now)
            for line in claim.cart.lines {
                book.rows[line.bucket]?.held = held[line.bucket, default: 0] + line.quantity
            }
            return .held(claim.reservation(at: now))
        }
    }
}

/// F15: looks the key up, reserves, and writes the key down: three transactions. The first process dies before the last.
struct RecordsApart: StoreWrapper {
    let memory: InMemoryReservationStore
    let dies: Bool
    private let crashes = Tally()
    var inner: any ReservationStore { memory }

    init(_ memory: InMemoryReservationStore, dies: Bool) {
        self.memory = memory
        self.dies = dies
    }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        guard let request = claim.request else { return try await inner.claim(claim, by: rule) }
        let known = try memory.withBook { book, _ in book.requests[Book.Caller(request)] }
        if case .reservation(let id) = known?.answer, let found = try await inner.reservation(id, holder: nil) {
            return .replayed(found)
        }
        // Long enough for a second click.
        if !dies { for _ in 0..<2_000 { await Task.yield() } }
        let outcome = try await inner.claim(claim.with(request: .some(nil)), by: rule)
        if dies, crashes.add() == 1 { throw StoreError(.unavailable, "The process died.", effect: .unknown) }
        try memory.withBook { book, now in book.remember(request, .reservation(claim.id), now: now) }
        return outcome
    }
}

/// Keeps the key of a request that was refused.
struct RecordsRefusals: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        let outcome = try await inner.claim(claim, by: rule)
        if case .short = outcome {
            try memory.withBook { book, now in book.remember(claim.request, .bucket(.counted("refused")), now: now) }
        }
        return outcome
    }
}

/// Takes any holder for the owner.
struct IgnoresOwners: StoreWrapper {
    let inner: any ReservationStore

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        try await inner.resolve(
            Resolution(
                id: resolution.id, holder: nil, kind: resolution.kind, replacement: resolution.replacement,
                actor: resolution.actor, request: resolution.request))
    }
}

/// Holds line after line, and does not take back what it has when one is short.
struct HoldsInPart: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        let outcome = try await inner.claim(claim, by: rule)
        if case .short(let shortages) = outcome {
            try memory.withBook { book, _ in
                for line in claim.cart.lines where !shortages.contains(where: { $0.bucket == line.bucket }) {
                    book.rows[line.bucket]?.held += line.quantity
                }
            }
        }
        return outcome
    }
}

/// Changes counters without a line in the book.
struct KeepsNoLedger: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func resolve(_ resolution: Resolution) async throws(StoreError) -> ResolutionOutcome {
        let outcome = try await inner.resolve(resolution)
        if case .done = outcome { try memory.withBook { book, _ in _ = book.ledger.popLast() } }
        return outcome
    }
}

/// Ends a hold that is being ended by somebody else.
struct ExpiresTwice: StoreWrapper {
    let memory: InMemoryReservationStore
    var inner: any ReservationStore { memory }

    func expire(_ buckets: [Bucket]?, limit: Int) async throws(StoreError) -> [Reservation] {
        let ended = try await inner.expire(buckets, limit: limit)
        try memory.withBook { book, _ in
            for line in ended.flatMap(\.lines) { book.rows[line.bucket]?.held -= line.quantity }
        }
        return ended
    }
}

/// Fails at every tenth claim, and leaves nothing behind.
final class FailsNowAndThen: StoreWrapper {
    let inner: any ReservationStore
    private let claims = Atomic(0)

    init(inner: any ReservationStore) {
        self.inner = inner
    }

    func claim(_ claim: Claim, by rule: ClaimRule) async throws(StoreError) -> ClaimOutcome {
        guard claims.add(1, ordering: .relaxed).newValue % 10 != 0 else {
            throw StoreError(.failed, "The tenth.")
        }
        return try await inner.claim(claim, by: rule)
    }
}

/// Compares holders as Swift compares strings.
struct ComparesTexts: StoreWrapper {
    let inner: any ReservationStore

    func reservation(_ id: ReservationID, holder: String?) async throws(StoreError) -> Reservation? {
        let found = try await inner.reservation(id, holder: nil)
        return holder == nil || found?.holder == holder ? found : nil
    }
}
