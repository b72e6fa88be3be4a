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
        var doubt = service.doubt()
        var attempts = 0
        var hasReaped = false
        while true {
            doubt.begin()
            let result = await strategy.implementation.claim(claim, in: service.store)
            attempts += result.attempts
            service.observer.claimed(result, by: strategy)
            // Holds whose time is up may still be counted: availability never waits for the sweeper.
            if case .success(.short(let shortages)) = result.outcome, !hasReaped {
                hasReaped = true
                if await service.mayHaveReaped(shortages) { continue }
            }
            // The claim's id finds what an earlier round has done.
            switch await judge(result.outcome, &doubt) {
            case .again: continue
            case .tell: return try await answer(result.outcome, attempts: attempts, since: start)
            case .unknown: throw unknown(result.outcome, doubt, attempts: attempts, since: start)
            }
        }
    }

    private func judge(_ outcome: Result<ClaimOutcome, StoreError>, _ doubt: inout Doubt) async -> Doubt.Verdict {
        switch outcome {
        case .success(let outcome): return await outcome.isRefusal ? doubt.judgeRefusal() : .tell
        // What is worth another try without a doubt, the strategy has tried.
        case .failure(let error): return await doubt.judge(error, isWorthAnother: false)
        }
    }

    private func unknown(
        _ outcome: Result<ClaimOutcome, StoreError>, _ doubt: Doubt, attempts: Int, since start: ContinuousClock.Instant
    ) -> ReservationError {
        var message: String?
        if case .failure(let failure) = outcome { message = failure.message }
        let error = ReservationError.unknown(message, doubt, attempts: attempts)
        service.observer.refused("reserve", error, by: strategy, since: start)
        return error
    }

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
            error = .shortage(
                shortages, alternatives: await service.alternatives(to: shortages, asked: claim.cart.buckets),
                attempts: attempts)
        case .success(.holdLimit(let current)):
            error = .holdLimit(claim.maximumLiveHolds, current, attempts)
        case .success(.versionConflict), .success(.staleFence):
            error = .busy(attempts: attempts, strategy: strategy.name)
        case .success(.key(let problem)): error = .keyProblem(problem, attempts: attempts)
        case .failure(let failure): error = ReservationError(failure, attempts: attempts, strategy: strategy.name)
        }
        service.observer.refused("reserve", error, by: strategy, since: start)
        throw error
    }
}

extension Shortage {
    /// Whether holds whose time was up were counted when the store looked.
    var countsOverdue: Bool { (state?.held ?? 0) > heldByHolder + heldByOthers }
}
