extension ReservationService {
    func resolve(
        _ kind: Resolution.Kind, _ id: ReservationID, holder: String, key: String?
    ) async throws(ReservationError) -> Reservation {
        try check(holder: holder, key: key)
        let operation = kind.rawValue
        let isReheld = kind == .confirm && configuration.lateConfirmation == .rehold
        let resolution = Resolution(
            id: id, holder: holder, kind: kind, replacement: isReheld ? id.replacement : nil, actor: holder,
            request: key.map {
                RequestKey(
                    caller: holder, key: $0, operation: operation, fingerprint: Fingerprint.of(operation, ["\(id)"]))
            })
        let start = ContinuousClock.now
        let ask = { () async throws(StoreError) in try await self.store.resolve(resolution) }
        var outcome = try await asking(operation, ask)
        // A late confirmation does not find what others hold whose time is up, either, until that is written down.
        if case .short(let shortages) = outcome {
            let isReaped = await reap(shortages.map(\.bucket))
            if isReaped || shortages.contains(where: \.countsOverdue) { outcome = try await asking(operation, ask) }
        }
        return try reservation(from: outcome, operation, since: start)
    }

    func reservation(
        from outcome: ResolutionOutcome, _ operation: String, since start: ContinuousClock.Instant
    ) throws(ReservationError) -> Reservation {
        let error: ReservationError
        switch outcome {
        case .done(let reservation):
            observer.resolved(operation, reservation, since: start)
            return reservation
        case .repeated(let reservation):
            observer.replayed(operation, since: start)
            return reservation
        case .conflict(let reservation): error = .conflict(reservation, operation)
        case .extensionLimit(let reservation):
            error = ReservationError(
                .extensionLimit(hardDeadline: reservation.hardDeadline),
                "Reservation \(reservation.id) is held for as long as it may be.")
        case .short(let shortages): error = .shortage(shortages, attempts: 1)
        case .notFound: error = .notFound
        case .key(let problem): error = .keyProblem(problem)
        }
        observer.refused(operation, error, since: start)
        throw error
    }

    /// Asks the store, and again when it was busy or its answer got lost: every question may be repeated.
    func asking<Answer: Sendable>(
        _ operation: String, _ body: () async throws(StoreError) -> Answer
    ) async throws(ReservationError) -> Answer {
        let start = ContinuousClock.now
        var attempts = 0
        // What an earlier try may have done, a later one that failed without effect has not undone.
        var effect = StoreError.Effect.none
        while true {
            attempts += 1
            do throws(StoreError) {
                return try await body()
            } catch {
                if error.effect == .unknown { effect = .unknown }
                let isWorthIt = error.code == .busy || effect == .unknown
                if isWorthIt, attempts < Self.maximumQuestions, await RetryDelay().wait(after: attempts) { continue }
                let failure = ReservationError(
                    StoreError(error.code, error.message, effect: effect), attempts: attempts, strategy: operation)
                observer.refused(operation, failure, since: start)
                throw failure
            }
        }
    }

    private static let maximumQuestions = 4
    private static let maximumReapBatches = 20

    /// Ends holds on these buckets whose time is up. Whether there were any; when the store cannot say, none.
    func reap(_ buckets: [Bucket]) async -> Bool {
        var total = 0
        for _ in 0..<Self.maximumReapBatches {
            do throws(StoreError) {
                let ended = try await store.expire(buckets, limit: Self.sweepBatch)
                observer.expired(ended.count)
                total += ended.count
                if ended.count < Self.sweepBatch { break }
            } catch {
                break
            }
        }
        return total > 0
    }

    func check(holder: String, key: String?) throws(ReservationError) {
        let limit = configuration.limits.textLength
        try check(holder, "/holder", "The holder", limit)
        if let key { try check(key, "/key", "The idempotency key", limit) }
    }

    func check(item: String) throws(ReservationError) {
        if let flaw = Bucket.counted(item).flaw { throw .invalid("/item", flaw) }
    }

    private func check(_ text: String, _ pointer: String, _ name: String, _ limit: Int) throws(ReservationError) {
        guard !text.isEmpty, text.utf8.count <= limit else {
            throw .invalid(pointer, "\(name) must have from 1 to \(limit) bytes.")
        }
        guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            throw .invalid(pointer, "\(name) has a control character.")
        }
    }

    func check(hold ttl: Duration) throws(ReservationError) {
        let limits = configuration.limits
        guard ttl >= limits.minimumHold, ttl <= limits.maximumHold else {
            throw .invalid(
                "/ttl",
                "The hold is \(ttl); it must be from \(limits.minimumHold) to \(limits.maximumHold).")
        }
    }
}
