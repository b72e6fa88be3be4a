/// Which request of a caller this is: the key of idempotency.
public struct RequestKey: Hashable, Sendable {
    /// Who asks. Keys of different callers have nothing to do with each other.
    public let caller: String
    /// What the caller calls the request.
    public let key: String
    /// What is asked: `reserve`, `confirm`...
    public let operation: String
    /// A digest of the request: the same key with another fingerprint is a mistake.
    public let fingerprint: String

    /// For stores' tests.
    public init(caller: String, key: String, operation: String, fingerprint: String) {
        self.caller = caller
        self.key = key
        self.operation = operation
        self.fingerprint = fingerprint
    }

    /// Whether another request with the same caller and key asks for the same.
    package func isSame(as other: RequestKey) -> Bool {
        operation == other.operation && fingerprint == other.fingerprint
    }

    /// Caller and key.
    package var name: RequestName { RequestName(caller: caller, key: key) }
}

/// Why an idempotency key could not be used.
public enum KeyProblem: Sendable, Hashable {
    /// For another request.
    case reused
    /// Another transaction with it was still going on after the store's bounded wait.
    case inProgress
}
