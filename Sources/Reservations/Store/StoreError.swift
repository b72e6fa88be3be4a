/// What a store could not do. Expected outcomes are values; this is everything else.
public struct StoreError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    public enum Code: String, Hashable, Sendable {
        /// A row was locked for too long, a deadlock, a conflict, or no connection within the time for it.
        case busy
        /// The database cannot be reached, or broke off.
        case unavailable
        /// A constraint of the schema refused what the code wanted: a bug, of which the constraint prevented the damage.
        case refusedByConstraint
        /// A wrong password, a missing permission, a schema of another version: the message says what to change.
        case misconfigured
        /// The task was cancelled.
        case cancelled
        /// The store was closed.
        case closed
        /// Anything else that a database may say.
        case failed
    }

    /// What is known about the effect of the call.
    public enum Effect: Hashable, Sendable {
        /// Nothing was changed.
        case none
        /// It may have been: the connection broke after the commit was sent.
        case unknown
    }

    /// What kind of failure it is.
    public let code: Code
    /// What is known about the effect.
    public let effect: Effect
    /// One sentence, without secrets and without values of rows.
    public let message: String
    /// How often the database was asked before the store gave up: 0 when it was not, for the store was closed or too many
    /// waited already.
    public let attempts: Int

    /// For stores.
    public init(_ code: Code, _ message: String, effect: Effect = .none, attempts: Int = 1) {
        self.code = code
        self.effect = effect
        self.message = message
        self.attempts = max(attempts, 0)
    }

    /// The same after more attempts than the last.
    package func after(attempts: Int) -> StoreError {
        StoreError(code, message, effect: effect, attempts: attempts)
    }

    /// The message.
    public var description: String { message }
}
