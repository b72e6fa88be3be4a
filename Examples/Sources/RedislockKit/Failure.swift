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

    /// What a failed lock operation means for the exit status.
    package init(_ error: LockError) {
        self.init(ExitStatus(error.code), error.description)
    }
}

extension ExitStatus {
    init(_ code: LockError.Code) {
        switch code {
        case .waitTimedOut, .overloaded: self = .notObtained
        case .quorumUnreachable, .fencingUnavailable: self = .unreachable
        case .misconfigured: self = .configuration
        case _ where code.leaseLossReason != nil: self = .leaseLost
        default: self = .software
        }
    }
}
