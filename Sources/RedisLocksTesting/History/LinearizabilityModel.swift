/// An object as it would behave if its operations took effect one after the other.
package protocol LinearizabilityModel: Sendable {
    associatedtype State: Hashable & Sendable
    associatedtype Operation: Sendable

    var initial: State { get }

    /// The state after `operation`, with the outcome that it is known to have had; `nil` if it cannot have happened here.
    func apply(_ operation: Operation, to state: State) -> State?
}

/// A history of calls to one object, each with the time within which it took effect.
package struct LinearizabilityCall<Operation: Sendable>: Sendable {
    package let operation: Operation
    package let invoked: Int64
    /// `nil`: nobody knows whether it took effect, and if it did, then at any instant from `invoked` on.
    package let returned: Int64?

    package init(_ operation: Operation, invoked: Int64, returned: Int64?) {
        self.operation = operation
        self.invoked = invoked
        self.returned = returned
    }
}

package enum LinearizabilityVerdict: Sendable, Equatable {
    /// There is such an order: the calls that took effect, by index.
    case linearizable(order: [Int])
    /// There is none. The longest attempt, and the calls of which none could come next, though one had to.
    case notLinearizable(longest: [Int], stuck: [Int])
    /// The search came to its limit: neither is known.
    case undecided(states: Int)
}
