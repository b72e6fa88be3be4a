/// Deliberate mistakes in the lock's rules, each of which the simulator must catch: who checks the checkers?
///
/// They exist only in builds with `REDIS_LOCKS_MUTANTS` set; everywhere else ``isOn(_:)`` is `false` at compile time and the
/// mistakes are not part of the binary.
package enum Mutant: String, CaseIterable, Sendable {
    /// Takes the greatest token of the quorum without making the others agree.
    case maxOnly
    /// Counts a node that did not answer as one that granted.
    case timeoutCountsAsVote
    /// Adds the drift to the validity instead of taking it off.
    case driftSign
    /// Counts the validity from the last reply instead of from the request.
    case validityFromLastReply
    /// Counts a node that was given the lease anew in the extension that found it missing.
    case replantsCountInExtend
    /// Books an extension whose answers came after the old deadline.
    case lateExtendAccepted
    /// Lets a renewal bring a lost lease back.
    case lostLeaseResurrected
    /// CONFIRM writes without asking whether the name is still ours.
    case unconditionalWriteBack
    /// CONFIRM writes although the counter has gone past the token.
    case noOrderCheck
    /// RELEASE deletes whoever holds the name.
    case deleteWithoutCompare
    /// The restart guard believes the server's uptime, which its wall clock tells, instead of the boot record.
    case quarantineFromUptime
    /// A clock that stands still while the client is suspended.
    case suspendingClock

    #if REDIS_LOCKS_MUTANTS
        /// The one that is in effect. Guard: set between schedules, by whoever runs them, one at a time.
        nonisolated(unsafe) package static var current: Mutant?

        @inline(__always)
        package static func isOn(_ mutant: Mutant) -> Bool { current == mutant }
    #else
        @inline(__always)
        package static func isOn(_ mutant: Mutant) -> Bool { false }
    #endif
}
