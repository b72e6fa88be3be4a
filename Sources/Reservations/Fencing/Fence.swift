/// The rule by which whatever is written to under a lock keeps late holders out: the greatest token that has been here.
///
/// In a table it is a column, and the rule stands in the statement that writes: <doc:FencingYourOwnTables>. This type is the
/// rule itself, for whatever lives in memory, in a file, or behind an interface that hands over a token.
///
/// ```swift
/// var fence = Fence()
/// try fence.admit(lease.fencingToken)  // throws StaleFence for a token that is smaller than one before
/// ```
public struct Fence: Hashable, Sendable, Codable {
    /// The greatest token that was admitted; 0 for none.
    public private(set) var seen: Int64

    /// Makes a fence that has seen this token.
    public init(seen: Int64 = 0) {
        self.seen = seen
    }

    /// Admits whoever comes with a token that is as great as the greatest so far, or greater. The same holder may come again.
    ///
    /// - Throws: ``StaleFence`` when somebody with a greater token was here: the holder has lost its lease, and must not
    ///   write.
    public mutating func admit(_ token: Int64) throws(StaleFence) {
        guard token >= seen else { throw StaleFence(token: token, seen: seen) }
        seen = token
    }
}

/// A write was refused because a holder with a greater fencing token had been there. Nothing was written.
public struct StaleFence: Error, Hashable, Sendable, CustomStringConvertible {
    /// The token of the write that was refused.
    public let token: Int64
    /// The greater one, if the store said which.
    public let seen: Int64?

    /// Makes the error: for the code that finds that its statement changed no row.
    public init(token: Int64, seen: Int64? = nil) {
        self.token = token
        self.seen = seen
    }

    /// One sentence with both tokens.
    public var description: String {
        let greater = seen.map { "\($0)" } ?? "a greater one"
        return "The write with fencing token \(token) was refused: \(greater) had been there. Its lease is over."
    }
}
