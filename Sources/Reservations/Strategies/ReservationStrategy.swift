/// How a claim is brought to the store: what is read before, what is locked, how often it is tried.
///
/// No strategy can oversell, and all may be used on the same buckets at the same time: the store's rows decide. They differ
/// in what they cost and whom they serve first; see <doc:ChoosingAStrategy>.
public protocol ReservationStrategy: Sendable {
    /// A constant word: for metrics, errors and operators.
    var name: String { get }

    /// How many buckets a cart may have, if there is a limit: larger ones are refused as
    /// ``ReservationError/Code/invalidRequest(_:)`` before anything is asked. No limit by default.
    var maximumBuckets: Int? { get }

    /// Brings the claim to the store.
    ///
    /// Must not leave an effect behind that it does not answer with: a claim may be tried again with the same
    /// ``Claim/id`` after an error whose effect is unknown, and finds what the first has done.
    func claim(_ claim: Claim, in store: any ReservationStore) async -> StrategyResult
}

extension ReservationStrategy {
    /// No limit.
    public var maximumBuckets: Int? { nil }
}

/// What a strategy came to.
public struct StrategyResult: Sendable {
    /// The store's last word, or why there is none.
    public let outcome: Result<ClaimOutcome, StoreError>
    /// How often a database was asked to claim, by the strategy or by the store itself: the sum of
    /// ``ClaimAnswer/attempts`` and ``StoreError/attempts``. 0 when it never came to that.
    public var attempts: Int
    /// How many of them a row refused because a holder with a greater fencing token had been there. Worth an alarm.
    public var staleFences = 0
    /// Whether it went on without the distributed lock, for that was not to be had.
    public var fellBack = false

    /// Makes a result.
    public init(_ outcome: Result<ClaimOutcome, StoreError>, attempts: Int) {
        self.outcome = outcome
        self.attempts = attempts
    }
}

extension ReservationStore {
    /// Asks, and adds to `attempts` how often the database was asked.
    func ask(_ claim: Claim, by rule: ClaimRule, _ attempts: inout Int) async -> Result<ClaimOutcome, StoreError> {
        do throws(StoreError) {
            let answer = try await attempt(claim, by: rule)
            attempts += answer.attempts
            return .success(answer.outcome)
        } catch {
            attempts += error.attempts
            return .failure(error)
        }
    }
}

/// How long to wait between tries: full jitter, so that contenders spread out.
struct RetryDelay: Sendable {
    var shortest: Duration = .milliseconds(5)
    var longest: Duration = .milliseconds(200)

    func delay(after attempt: Int) -> Duration {
        let ceiling = min(shortest * (1 << min(attempt, 16)), longest)
        let microseconds = max(1, ceiling / .microseconds(1))
        return .microseconds(Int64.random(in: 1...Int64(microseconds)))
    }

    /// Returns `false` when the task was cancelled meanwhile.
    func wait(after attempt: Int) async -> Bool {
        do {
            try await Task.sleep(for: delay(after: attempt))
            return true
        } catch {
            return false
        }
    }
}
