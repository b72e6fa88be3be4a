#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

import RedisLocks

/// What `redislock run` does, as decisions only: the shell around it acquires, starts, signals and waits.
package struct Supervision {
    package enum Event: Sendable {
        /// The lock is ours.
        case acquired
        /// The lock was not obtained.
        case notAcquired(LockError)
        /// A signal for us; `fromTerminal` when a key press sent it to the whole foreground process group.
        case signal(Int32, fromTerminal: Bool)
        case leaseLost(LeaseLossReason)
        /// The grace that the command had after SIGTERM is over.
        case graceOver
        case ended(CommandEnd)
        /// The command could not be started: `errno`; ETIMEDOUT when the lease was over before.
        case notStarted(Int32)
    }

    package enum Action: Equatable {
        case stopAcquiring
        case start
        case send(Int32)
        case startGrace
        case finish(Outcome)
    }

    package enum Outcome: Equatable {
        case notAcquired(Failure)
        /// A signal came before the command was started.
        case interrupted(Int32)
        case notStarted(Int32)
        case ended(CommandEnd)
        case leaseLost(LeaseLossReason, CommandEnd)
        /// The machine stood still between the grant and the start.
        case leaseLostBeforeStart
    }

    private enum State {
        case acquiring
        case interrupted(Int32)
        case running
        case stopping(LeaseLossReason)
        case finished
    }

    private var state = State.acquiring

    package init() {}

    package mutating func handle(_ event: Event) -> [Action] {
        switch (state, event) {
        case (.acquiring, .acquired):
            state = .running
            return [.start]
        case (.acquiring, .notAcquired(let error)):
            return finish(.notAcquired(Failure(error)))
        case (.acquiring, .signal(let signal, _)):
            state = .interrupted(signal)
            return [.stopAcquiring]

        case (.interrupted(let signal), .acquired), (.interrupted(let signal), .notAcquired):
            return finish(.interrupted(signal))

        case (.running, .signal(let signal, let fromTerminal)), (.stopping, .signal(let signal, let fromTerminal)):
            // The terminal has sent it to the command already, which is in our process group.
            return fromTerminal ? [] : [.send(signal)]
        case (.running, .leaseLost(let reason)):
            state = .stopping(reason)
            return [.send(SIGTERM), .send(SIGCONT), .startGrace]
        case (.running, .ended(let end)):
            return finish(.ended(end))
        case (.running, .notStarted(ETIMEDOUT)), (.stopping, .notStarted(ETIMEDOUT)):
            return finish(.leaseLostBeforeStart)
        case (.running, .notStarted(let errno)), (.stopping, .notStarted(let errno)):
            return finish(.notStarted(errno))

        case (.stopping, .graceOver):
            return [.send(SIGKILL)]
        case (.stopping(let reason), .ended(let end)):
            return finish(.leaseLost(reason, end))

        case (.interrupted, .signal), (.stopping, .leaseLost), (.finished, _):
            return []
        case (_, _):
            preconditionFailure("\(event) cannot happen while \(state)")
        }
    }

    private mutating func finish(_ outcome: Outcome) -> [Action] {
        state = .finished
        return [.finish(outcome)]
    }
}
