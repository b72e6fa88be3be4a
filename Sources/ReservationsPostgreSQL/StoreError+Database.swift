import Reservations

extension StoreError {
    /// What a failure of the database means to those who use the store.
    init(_ error: DatabaseError) {
        let effect: Effect = error.effectIsUnknown ? .unknown : .none
        switch error.code {
        // The database was not asked.
        case .connectFailed: self.init(.unavailable, error.message, attempts: 0)
        case .connectionLost: self.init(.unavailable, error.message, effect: effect)
        case .refused, .invalidURL: self.init(.misconfigured, error.message, effect: effect)
        // The statement was given up in good order.
        case .timedOut: self.init(.busy, error.message, effect: effect)
        case .exhausted: self.init(.busy, error.message, effect: effect, attempts: 0)
        case .cancelled: self.init(.cancelled, error.message, effect: effect)
        case .closed: self.init(.closed, "The store was closed.", effect: effect, attempts: 0)
        case .failed: self.init(.failed, error.message, effect: effect)
        case .server: self.init(sqlState: error.sqlState ?? "", error, effect)
        }
    }

    private init(sqlState: String, _ error: DatabaseError, _ effect: Effect) {
        switch sqlState {
        // Serialization, deadlock, lock timeout, statement timeout.
        case "40001", "40P01", "55P03", "57014": self.init(.busy, error.message, effect: effect)
        // A standby that still is one, or a server short of something.
        case "25006",
            _ where sqlState.hasPrefix("53"):
            self.init(.unavailable, error.message, effect: effect)
        case _ where sqlState.hasPrefix("23"): self.init(.refusedByConstraint, error.message, effect: effect)
        case "42P01", "42883", "42704", "42703":
            self.init(
                .misconfigured, "The schema is missing, or of another version: call `migrate()`. \(error.message)",
                effect: effect)
        default: self.init(.failed, error.message, effect: effect)
        }
    }

    /// A function of the schema answered what this code does not know.
    static let nonsense = StoreError(.misconfigured, "The functions in the schema are not those of this version.")
}
