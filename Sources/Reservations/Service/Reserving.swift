/// One request to reserve, from its claim to its answer.
struct Reserving {
    let claim: Claim
    let strategy: Strategy
    let service: ReservationService

    init(_ claim: Claim, strategy: Strategy, service: ReservationService) {
        self.claim = claim
        self.strategy = strategy
        self.service = service
    }

    func run() async throws(ReservationError) -> Reservation {
        let start = ContinuousClock.now
        var attempts = 0
        var hasReaped = false
        // An earlier try of which nobody knows what became. A later one that failed without effect does not undo it.
        var isUnknown = false
        while true {
            let result = await strategy.implementation.claim(claim, in: service.store)
            attempts += result.attempts
            service.observer.claimed(result, by: strategy)
            switch result.outcome {
            case .success(.short(let shortages)) where !hasReaped:
                // Holds whose time is up may still be counted: availability never waits for the sweeper.
                hasReaped = true
                if await service.reap(shortages.map(\.bucket)) { continue }
            case .failure(let error) where error.effect == .unknown || isUnknown:
                isUnknown = true
                // The claim's id finds what the first try has done.
                if attempts < Self.maximumAttempts, await RetryDelay().wait(after: attempts) { continue }
                let unknown = StoreError(error.code, error.message, effect: .unknown)
                return try await answer(.failure(unknown), attempts: attempts, since: start)
            default: break
            }
            return try await answer(result.outcome, attempts: attempts, since: start)
        }
    }

    private static let maximumAttempts = 5

    private func answer(
        _ outcome: Result<ClaimOutcome, StoreError>, attempts: Int, since start: ContinuousClock.Instant
    ) async throws(ReservationError) -> Reservation {
        let error: ReservationError
        switch outcome {
        case .success(.held(let reservation)):
            service.observer.reserved(reservation, by: strategy, attempts: attempts, since: start)
            return reservation
        case .success(.replayed(let reservation)):
            service.observer.replayed("reserve", by: strategy, since: start)
            return reservation
        case .success(.short(let shortages)):
            error = .shortage(shortages, alternatives: await service.alternatives(to: shortages, asked: claim.cart.buckets), attempts: attempts)
        case .success(.holdLimit(let current)):
            error = .holdLimit(claim.maximumLiveHolds, current, attempts)
        case .success(.versionConflict), .success(.staleFence):
            error = .busy(attempts: attempts, strategy: strategy.name)
        case .success(.key(let problem)): error = .keyProblem(problem)
        case .failure(let failure): error = ReservationError(failure, attempts: attempts, strategy: strategy.name)
        }
        service.observer.refused("reserve", error, by: strategy, since: start)
        throw error
    }
}
