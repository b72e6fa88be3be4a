/// What is not known of a request's earlier rounds: one of them may have taken effect, or may yet.
///
/// Until that is settled a refusal is no answer. The store says "sold out" to a second round while the first is about to
/// take the last unit, and says "too many holds" because of the very hold that the first has made. Only what was asked when
/// the first could be under way no longer is told as final; an effect that shows itself always is.
struct Doubt {
    /// What to do with an answer.
    enum Verdict {
        /// Tell it: it is true.
        case tell
        /// Ask again.
        case again
        /// Tell that the outcome is not known.
        case unknown
    }

    static let maximumRounds = 5

    /// See ``ReservationStore/settlingTime``.
    let settling: Duration
    /// See ``ReservationService/Configuration/settlingPatience``.
    let patience: Duration
    /// Questions so far, each with all the tries that it took.
    private(set) var rounds = 0
    private var asked = ContinuousClock.now
    private var endsAt: ContinuousClock.Instant?

    init(settling: Duration, patience: Duration) {
        self.settling = min(max(settling, .zero), .seconds(86_400))
        self.patience = patience
    }

    /// Whether any round's effect was unknown.
    var hasBeen: Bool { endsAt != nil }

    /// How much longer it lasts.
    var remaining: Duration { endsAt.map { max($0 - .now, .zero) } ?? .zero }

    /// Before each question.
    mutating func begin() {
        rounds += 1
        asked = .now
    }

    /// After a refusal. Waits until asking again tells for good, where that is not too long.
    func judgeRefusal() async -> Verdict {
        guard let endsAt, asked < endsAt else { return .tell }
        guard rounds < Self.maximumRounds, remaining <= patience else { return .unknown }
        do {
            try await Task.sleep(until: endsAt, clock: .continuous)
            return .again
        } catch {
            return .unknown
        }
    }

    /// After a failure. A later one that is known to have had no effect does not undo what an earlier one may have done.
    ///
    /// - Parameter isWorthAnother: whether to ask again also without a doubt.
    mutating func judge(_ error: StoreError, isWorthAnother: Bool) async -> Verdict {
        if error.effect == .unknown { endsAt = .now + settling }
        guard isWorthAnother || hasBeen else { return .tell }
        if rounds < Self.maximumRounds, await RetryDelay().wait(after: rounds) { return .again }
        return hasBeen ? .unknown : .tell
    }
}

extension ReservationService {
    func doubt() -> Doubt {
        Doubt(settling: store.settlingTime, patience: configuration.settlingPatience)
    }
}

extension ClaimOutcome {
    /// Whether it says that nothing was done, which it may say too early.
    var isRefusal: Bool {
        switch self {
        case .short, .holdLimit, .versionConflict, .staleFence: true
        // A key that is another request's has kept ours from any effect, and one in progress is no end.
        case .held, .replayed, .key: false
        }
    }
}

extension ResolutionOutcome {
    var isRefusal: Bool {
        switch self {
        case .conflict, .short, .notFound: true
        // Held for as long as may be: more cannot have been done, nor be done yet.
        case .done, .repeated, .key, .extensionLimit: false
        }
    }
}

extension StockOutcome {
    var isRefusal: Bool {
        switch self {
        // In progress is our own first round, where the caller gave no key of his to ask again with.
        case .belowCommitments, .aboveMaximum, .key(.inProgress): true
        case .done, .replayed, .key(.reused): false
        }
    }
}
