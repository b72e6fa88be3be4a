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
        var asked = try await changing(operation, unless: \.isRefusal, ask)
        // A late confirmation does not find what others hold whose time is up, either, until that is written down.
        if case .short(let shortages) = asked.answer, await mayHaveReaped(shortages) {
            let before = asked.attempts
            asked = try await changing(operation, unless: \.isRefusal, ask)
            asked.attempts += before
        }
        return try reservation(from: asked, operation, since: start)
    }

    func reservation(
        from asked: Asked<ResolutionOutcome>, _ operation: String, since start: ContinuousClock.Instant
    ) throws(ReservationError) -> Reservation {
        let error: ReservationError
        switch asked.answer {
        case .done(let reservation):
            observer.resolved(operation, reservation, since: start)
            return reservation
        case .repeated(let reservation):
            observer.replayed(operation, since: start)
            return reservation
        case .conflict(let reservation): error = .conflict(reservation, operation, attempts: asked.attempts)
        case .extensionLimit(let reservation) where asked.wasInDoubt:
            // Held for as long as it may be, which is what an extension could come to; the first round may have done it.
            observer.replayed(operation, since: start)
            return reservation
        case .extensionLimit(let reservation):
            error = ReservationError(
                .extensionLimit(hardDeadline: reservation.hardDeadline),
                "Reservation \(reservation.id) is held for as long as it may be.",
                attempts: asked.attempts)
        case .short(let shortages): error = .shortage(shortages, attempts: asked.attempts)
        case .notFound: error = .notFound(attempts: asked.attempts)
        case .key(let problem): error = .keyProblem(problem, attempts: asked.attempts)
        }
        observer.refused(operation, error, since: start)
        throw error
    }

    /// What the store answered, and how it came to that.
    struct Asked<Answer: Sendable>: Sendable {
        var answer: Answer
        /// How often the store was asked.
        var attempts: Int
        /// Whether the effect of an earlier round was unknown.
        let wasInDoubt: Bool
    }

    /// Asks the store, and again when it was busy or its answer got lost: every question may be repeated.
    func asking<Answer: Sendable>(
        _ operation: String, _ body: () async throws(StoreError) -> Answer
    ) async throws(ReservationError) -> Answer {
        try await changing(operation, unless: { _ in false }, body).answer
    }

    /// The same for what may refuse: a refusal is told when it is final.
    func changing<Answer: Sendable>(
        _ operation: String, unless refuses: (Answer) -> Bool, _ body: () async throws(StoreError) -> Answer
    ) async throws(ReservationError) -> Asked<Answer> {
        let start = ContinuousClock.now
        var doubt = doubt()
        var attempts = 0
        while true {
            doubt.begin()
            let failure: StoreError?
            let verdict: Doubt.Verdict
            do throws(StoreError) {
                let answer = try await body()
                attempts += 1
                verdict = await refuses(answer) ? doubt.judgeRefusal() : .tell
                if verdict == .tell { return Asked(answer: answer, attempts: attempts, wasInDoubt: doubt.hasBeen) }
                failure = nil
            } catch {
                attempts += error.attempts
                verdict = await doubt.judge(error, isWorthAnother: error.code == .busy)
                failure = error
            }
            guard verdict != .again else { continue }
            let error =
                if let failure, verdict == .tell {
                    ReservationError(failure, attempts: attempts, strategy: operation)
                } else {
                    ReservationError.unknown(failure?.message, doubt, attempts: attempts)
                }
            observer.refused(operation, error, since: start)
            throw error
        }
    }

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

    /// Whether asking again may find more: holds whose time is up were ended now, or by somebody who was faster.
    func mayHaveReaped(_ shortages: [Shortage]) async -> Bool {
        let isReaped = await reap(shortages.map(\.bucket))
        return isReaped || shortages.contains(where: \.countsOverdue)
    }

    func check(holder: String, key: String?) throws(ReservationError) {
        let limit = configuration.limits.textLength
        try check(holder, "/holder", Wording("The holder", korean: "예약자"), limit)
        if let key { try check(key, "/key", Wording("The idempotency key", korean: "요청 번호"), limit) }
    }

    func check(item: String) throws(ReservationError) {
        if let flaw = Bucket.counted(item).flaw { throw .invalid("/item", flaw) }
    }

    private func check(_ text: String, _ pointer: String, _ name: Wording, _ limit: Int) throws(ReservationError) {
        guard !text.isEmpty, text.utf8.count <= limit else {
            throw .invalid(
                pointer,
                name.appending(
                    " must have from 1 to \(limit) bytes.", korean: " 항목은 1바이트부터 \(limit)바이트까지 가능합니다."))
        }
        guard !text.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
            throw .invalid(
                pointer, name.appending(" has a control character.", korean: " 항목에 제어 문자를 쓸 수 없습니다."))
        }
    }

    func check(hold ttl: Duration) throws(ReservationError) {
        let limits = configuration.limits
        guard ttl >= limits.minimumHold, ttl <= limits.maximumHold else {
            throw .invalid(
                "/ttl",
                "The hold is \(ttl); it must be from \(limits.minimumHold) to \(limits.maximumHold).",
                korean: "예약 시간은 \(KoreanSentences.text(limits.minimumHold))부터 "
                    + "\(KoreanSentences.text(limits.maximumHold))까지 가능합니다.")
        }
    }
}
