import RedisLocks

/// Why the tool ends without what it was asked for: one line for stderr and the exit status that goes with it.
package struct Failure: Error, Sendable, Equatable {
    package let status: ExitStatus
    package let sentence: String

    package init(_ status: ExitStatus, _ sentence: String) {
        self.status = status
        // One line, whatever a server or a path contains.
        self.sentence = String(sentence.map { $0.isNewline ? " " : $0 })
    }

    /// Why no client could be made.
    package init(construction error: LockError) {
        let failure = Failure(error)
        // The library names its own option, which nobody can set from here.
        let hint = failure.sentence.contains("unencrypted") ? " (here: --unsafe-plaintext-password)" : ""
        self.init(failure.status, failure.sentence + hint)
    }

    /// What a failed lock operation means for the exit status.
    package init(_ error: LockError) {
        let status: ExitStatus =
            switch error.code {
            case .waitTimedOut: .notObtained
            case .quorumUnreachable, .fencingUnavailable: .unreachable
            // No node was asked: what is wrong was typed.
            case .misconfigured: error.nodes.isEmpty ? .usage : .configuration
            case let code where code.leaseLossReason != nil: .leaseLost
            default: .software
            }
        self.init(status, error.description)
    }
}
