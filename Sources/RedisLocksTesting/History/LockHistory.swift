/// What the clients of a lock did and were told, and what a store saw of them: the input of the checkers.
///
/// All instants are nanoseconds on one clock that every recorder shares: virtual time in a simulation, ``HistoryClock``
/// for processes of one machine.
package struct LockHistory: Sendable, Equatable {
    package var operations: [LockOperation]
    package var storeEvents: [StoreEvent]

    package init(operations: [LockOperation] = [], storeEvents: [StoreEvent] = []) {
        self.operations = operations
        self.storeEvents = storeEvents
    }
}

/// One acquire, and what became of its lease.
package struct LockOperation: Sendable, Equatable {
    package enum Outcome: Sendable, Equatable {
        case granted(token: Int64)
        /// The client was told that it has nothing.
        case refused
        /// Nobody knows: the client broke down, or could not find out.
        case unknown
    }

    /// Unique in the history, and growing in the order in which one client begins its operations.
    package var id: Int
    /// A thread of control: does one thing after the other.
    package var client: String
    /// All names of the set, which share one token.
    package var names: [String]
    package var invoked: Int64
    /// `nil`: never returned.
    package var returned: Int64?
    package var outcome: Outcome

    // MARK: Of a grant

    /// When the lease ends by itself; the last one after renewals. `nil`: never.
    package var deadline: Int64?
    package var releaseInvoked: Int64?
    /// When the release was confirmed. `nil`: it was not, or not asked for.
    package var releaseReturned: Int64?
    /// When the holder was told that the lease is lost.
    package var ended: Int64?
    /// Set for a token that was handed on inside a process: when the acquire began that reserved it, as one of a block.
    ///
    /// Its place in the order of tokens was settled by that acquire, not when it was handed on: a key that vanished
    /// early may have given a greater one to somebody else in between.
    package var leaseInvoked: Int64?

    package init(
        id: Int, client: String, names: [String], invoked: Int64, returned: Int64? = nil, outcome: Outcome = .unknown,
        deadline: Int64? = nil, releaseInvoked: Int64? = nil, releaseReturned: Int64? = nil, ended: Int64? = nil,
        leaseInvoked: Int64? = nil
    ) {
        self.id = id
        self.client = client
        self.names = names
        self.invoked = invoked
        self.returned = returned
        self.outcome = outcome
        self.deadline = deadline
        self.releaseInvoked = releaseInvoked
        self.releaseReturned = releaseReturned
        self.ended = ended
        self.leaseInvoked = leaseInvoked
    }

    package var isHandedOff: Bool { leaseInvoked != nil }

    package var token: Int64? {
        if case .granted(let token) = outcome { token } else { nil }
    }

    /// When its token began to come into being.
    package var tokenInvoked: Int64 { leaseInvoked ?? invoked }

    /// The first instant at which the holder no longer claims to hold the names.
    package var holdEnd: Int64 {
        min(deadline ?? .max, releaseInvoked ?? .max, ended ?? .max)
    }
}

/// One request to the store that the lock protects.
package struct StoreEvent: Sendable, Equatable {
    package enum Kind: Sendable, Equatable {
        /// Raises the store's fence to the token, before anything is read.
        case claim
        /// Of a key that does not exist: 0.
        case read(Int64)
        case write(Int64)
    }

    /// When the *store* executed it: on its clock, or as a number that it counts up. Events of one key with the same `at`
    /// stand in their order of execution. What a client measures around its request is not good enough, and a client that
    /// lost the reply does not know; let the store keep a log in the same atomic step.
    package var at: Int64
    package var key: String
    package var client: String
    /// The operation whose lease the client relied on.
    package var operation: Int
    package var token: Int64
    package var kind: Kind
    package var accepted: Bool

    package init(
        at: Int64, key: String, client: String, operation: Int, token: Int64, kind: Kind, accepted: Bool = true
    ) {
        self.at = at
        self.key = key
        self.client = client
        self.operation = operation
        self.token = token
        self.kind = kind
        self.accepted = accepted
    }
}
