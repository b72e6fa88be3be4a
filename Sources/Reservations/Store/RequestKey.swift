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

    /// Caller and key.
    package var name: RequestName { RequestName(caller: caller, key: key) }
}

extension RequestKey {
    /// By bytes, as databases compare.
    public static func == (left: RequestKey, right: RequestKey) -> Bool {
        left.caller.hasSameBytes(as: right.caller) && left.key.hasSameBytes(as: right.key)
            && left.isSameRequest(as: right)
    }

    /// By bytes.
    public func hash(into hasher: inout Hasher) {
        for text in [caller, key, operation, fingerprint] { hasher.combine(bytesOf: text) }
    }

    /// Whether the same is asked, under whatever key.
    package func isSameRequest(as other: RequestKey) -> Bool {
        operation.hasSameBytes(as: other.operation) && fingerprint.hasSameBytes(as: other.fingerprint)
    }
}

/// Why an idempotency key could not be used.
public enum KeyProblem: Sendable, Hashable {
    /// For another request.
    case reused
    /// Another transaction with it was still going on after the store's bounded wait.
    case inProgress
}
