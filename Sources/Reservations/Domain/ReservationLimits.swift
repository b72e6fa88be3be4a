/// What one request, and one holder, may ask for. Everything beyond is refused with a sentence.
public struct ReservationLimits: Sendable, Hashable {
    /// How many lines a request may have, before they are merged: 1 ... 1,000. Default 50.
    public var linesPerRequest = 50
    /// How many of one bucket: 1 ... 1,000,000. Default 1,000.
    public var quantityPerLine = 1_000
    /// How many reservations one holder may hold unconfirmed at the same time: at least 1; `nil` for no limit. Default 10.
    ///
    /// Without a limit one caller can hold everything and pay for nothing. Counted in the transaction that makes the next.
    public var liveHoldsPerHolder: Int? = 10
    /// The shortest hold that may be asked for: at least 1 s. Default 10 s.
    public var minimumHold: Duration = .seconds(10)
    /// The longest hold that may be asked for, and the longest step of an extension: at most 30 days. Default 1 h.
    public var maximumHold: Duration = .seconds(3600)
    /// How long a hold may last with all its extensions: at least ``maximumHold``. Default 2 h.
    public var maximumTotalHold: Duration = .seconds(7200)
    /// The longest holder's name and idempotency key, in bytes of UTF-8: 16 ... 1,024. Default 256.
    public var textLength = 256

    /// The defaults.
    public init() {}

    func check() throws(ReservationError) {
        try require((1...1_000).contains(linesPerRequest), "`linesPerRequest` must be from 1 to 1,000.")
        try require((1...1_000_000).contains(quantityPerLine), "`quantityPerLine` must be from 1 to 1,000,000.")
        try require((liveHoldsPerHolder ?? 1) >= 1, "`liveHoldsPerHolder` must be at least 1, or nil.")
        try require(minimumHold >= .seconds(1), "`minimumHold` must be at least 1 s.")
        try require(maximumHold >= minimumHold, "`maximumHold` must not be shorter than `minimumHold`.")
        try require(maximumHold <= .seconds(30 * 86_400), "`maximumHold` must be at most 30 days.")
        try require(maximumTotalHold >= maximumHold, "`maximumTotalHold` must not be shorter than `maximumHold`.")
        try require(maximumTotalHold <= .seconds(366 * 86_400), "`maximumTotalHold` must be at most a year.")
        try require((16...1_024).contains(textLength), "`textLength` must be from 16 to 1,024.")
    }

    private func require(_ condition: Bool, _ sentence: String) throws(ReservationError) {
        guard condition else { throw .invalid("/limits", sentence) }
    }
}
