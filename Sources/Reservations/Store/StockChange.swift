/// A change of capacity.
public struct StockChange: Sendable, Hashable {
    /// Of which bucket; it is made if there is none.
    public let bucket: Bucket
    /// How many are added; fewer than 0 to take away.
    public let delta: Int
    /// Who did it, and why: for the ledger.
    public let actor: String
    /// The request that this is; `nil` for one that is not repeated when its answer gets lost.
    public let request: RequestKey?

    /// For stores' tests: the service makes them.
    public init(bucket: Bucket, delta: Int, actor: String, request: RequestKey? = nil) {
        self.bucket = bucket
        self.delta = delta
        self.actor = actor
        self.request = request
    }
}

/// What came of a change of capacity.
public enum StockOutcome: Sendable, Hashable {
    /// It was made: the bucket afterwards.
    case done(BucketState)
    /// The key had been used for the same change: this is the bucket as it stands now.
    case replayed(BucketState)
    /// So many are held and sold; the capacity stays. Also for a bucket that does not exist, of which nothing can be taken.
    case belowCommitments(committed: Int)
    /// More than ``Bucket/maximumCapacity``; the capacity stays.
    case aboveMaximum
    /// The key cannot be used.
    case key(KeyProblem)
}
