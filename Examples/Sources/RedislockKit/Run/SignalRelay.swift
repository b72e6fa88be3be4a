#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

/// The signals that are for the command as much as for us.
///
/// They are blocked in every thread and fetched by one that waits for them: no handler, no race with a pool's own masks.
package struct SignalRelay: Sendable {
    private static let relayed = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2]

    private let signals: [Int32]

    /// Takes the signals from their default action. To be called before the process has a second thread, which then
    /// inherits the mask.
    ///
    /// A signal that was ignored when this process started (nohup, a shell's `&`) stays so, for the command as well.
    /// SIGPIPE is ignored here and not in the command: a log whose reader has gone must not cost the lock.
    package static func install() -> SignalRelay {
        signal(SIGPIPE, SIG_IGN)
        let relay = SignalRelay(signals: relayed.filter { !isIgnored($0) })
        var set = relay.set
        pthread_sigmask(SIG_BLOCK, &set, nil)
        return relay
    }

    /// Waits for signals on the calling thread, for ever.
    package func forward(to receive: (_ signal: Int32, _ fromTerminal: Bool) -> Void) -> Never {
        var set = self.set
        while true {
            #if os(Linux)
                var info = siginfo_t()
                let signal = sigwaitinfo(&set, &info)
                // The kernel sends for a key press or a lost terminal, and then to the whole foreground process group.
                // SI_KERNEL, a C enumeration case on some systems and a macro on others.
                if signal > 0 { receive(signal, info.si_code == 0x80) }
            #else
                // Who sent it cannot be asked here: after Ctrl-C, a command gets it twice.
                var signal: Int32 = 0
                if sigwait(&set, &signal) == 0 { receive(signal, false) }
            #endif
        }
    }

    private var set: sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals { sigaddset(&set, signal) }
        return set
    }

    private static func isIgnored(_ signal: Int32) -> Bool {
        var action = sigaction()
        guard sigaction(signal, nil, &action) == 0 else { return false }
        #if os(Linux)
            let handler = unsafeBitCast(action.__sigaction_handler.sa_handler, to: Int.self)
        #else
            let handler = unsafeBitCast(action.__sigaction_u.__sa_handler, to: Int.self)
        #endif
        return handler == unsafeBitCast(SIG_IGN, to: Int.self)
    }
}
