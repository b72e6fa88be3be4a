import Reservations

/// What every store must do. A store's tests run all of it:
///
/// ```swift
/// @Test(arguments: StoreConformance.storeChecks)
/// func keepsItsContract(check: ConformanceCheck) async throws {
///     try await withHarness { try await check.run(Rig($0)) }
/// }
/// ```
package enum StoreConformance {
    /// The contract of ``ReservationStore``, method by method.
    package static var storeChecks: [ConformanceCheck] {
        ClaimMode.allCases.flatMap(claimChecks) + rules + resolutions + lateConfirmations + idempotency + reading
            + housekeeping + outsiders
    }

    /// The failure catalogue, and a random history, through the service: for each strategy.
    package static var serviceChecks: [ConformanceCheck] {
        catalogue + histories
    }

    /// The part of the failure catalogue that is about distributed locks: for a strategy with ``Rig/locks``.
    package static var lockChecks: [ConformanceCheck] { lockCatalogue }
}

/// A rule of claims with the values that it needs now.
enum ClaimMode: String, CaseIterable, Sendable {
    case atomic, pessimistic, optimistic, fenced

    func rule(for buckets: [Bucket], in store: any ReservationStore) async throws -> ClaimRule {
        switch self {
        case .atomic: .atomic
        case .pessimistic: .pessimistic(lockTimeout: .seconds(10))
        case .optimistic:
            .optimistic(
                versions: Dictionary(
                    try await store.states(of: buckets).map { ($0.bucket, $0.version) }, uniquingKeysWith: { $1 }))
        case .fenced: .fenced(token: Int64(Self.tokens.add()))
        }
    }

    private static let tokens = Tally()

    /// Claims until nobody else was faster.
    func claim(_ claim: Claim, in store: any ReservationStore) async throws -> ClaimOutcome {
        while true {
            let rule = try await rule(for: claim.cart.buckets, in: store)
            let outcome: ClaimOutcome
            do throws(StoreError) {
                outcome = try await store.claim(claim, by: rule)
            } catch {
                guard error.code == .busy, error.effect == .none else { throw error }
                continue
            }
            switch outcome {
            case .versionConflict, .staleFence: continue
            default: return outcome
            }
        }
    }
}

extension ClaimOutcome {
    var held: Reservation? {
        if case .held(let reservation) = self { reservation } else { nil }
    }

    func expectHeld(line: Int = #line) throws(ContractViolation) -> Reservation {
        guard case .held(let reservation) = self else {
            throw ContractViolation("Came to \(self), not to a hold (\(line)).")
        }
        return reservation
    }

    func expectReplayed(line: Int = #line) throws(ContractViolation) -> Reservation {
        guard case .replayed(let reservation) = self else {
            throw ContractViolation("Came to \(self), no replay (\(line)).")
        }
        return reservation
    }

    func expectShort(line: Int = #line) throws(ContractViolation) -> [Shortage] {
        guard case .short(let shortages) = self else {
            throw ContractViolation("Came to \(self), no shortage (\(line)).")
        }
        return shortages
    }
}

extension ResolutionOutcome {
    func expectDone(line: Int = #line) throws(ContractViolation) -> Reservation {
        guard case .done(let reservation) = self else {
            throw ContractViolation("Came to \(self), not done (\(line)).")
        }
        return reservation
    }

    func expectRepeated(line: Int = #line) throws(ContractViolation) -> Reservation {
        guard case .repeated(let reservation) = self else {
            throw ContractViolation("Came to \(self), not repeated (\(line)).")
        }
        return reservation
    }

    func expectConflict(_ state: Reservation.State, line: Int = #line) throws(ContractViolation) {
        guard case .conflict(let reservation) = self, reservation.state == state else {
            throw ContractViolation("Came to \(self), no conflict with \(state) (\(line)).")
        }
    }
}
