import Subprocess

#if canImport(System)
    import System
#else
    import SystemPackage
#endif

#if canImport(Darwin)
    import Darwin
#elseif canImport(Glibc)
    import Glibc
#endif

extension DemoStage {
    /// A contestant that is a process: `redislock run -- sh -c ...`, again and again.
    func contestantProcess(_ name: String) async throws {
        while !isOver.isSet, !Task.isCancelled {
            let script = ledger.script(hold: hold.lowerBound, ignoresTermination: false)
            tellLoss(name, try await runOnce(name, script: script) { _ in })
            try? await pause(hold)
        }
    }

    /// A process that stands still past its lease, `redislock` and command alike, and then goes on as if nothing had been.
    func frozenProcess(_ name: String) async throws {
        let script = ledger.script(hold: .milliseconds(600), ignoresTermination: true)
        let end = try await runOnce(name, script: script) { child in
            narrator.say(name, "is FROZEN (SIGSTOP), lock in hand; it cannot renew its lease of \(ttl.forPeople)")
            let mine = ledger.tokens.last
            try child.send(.suspend)
            do {
                while ledger.tokens.last == mine { try await Task.sleep(for: .milliseconds(20)) }
                narrator.say(name, "is thawed (SIGCONT); it does not know yet that somebody else has been in")
            } catch {
                // Interrupted: it must not stay frozen.
            }
            try child.send(.resume)
        }
        tellLoss(name, end)
    }

    private func tellLoss(_ name: String, _ end: TerminationStatus) {
        guard end == .exited(ExitStatus.leaseLost.code) else { return }
        narrator.lostLease(name, "ends: redislock noticed that the lease was over, exit status 74")
    }

    /// Runs its arguments, and takes the whole process group along when the pipe at its standard input closes: a process that
    /// was killed cannot do it itself. `$$` stays the number of what is run.
    private static let lifeline = """
        exec 3<&0 </dev/null
        {
            trap '' HUP INT QUIT TERM
            read -r _ <&3
            kill -s KILL 0
        } >/dev/null 2>&1 &
        exec "$@" 3<&-
        """

    private struct Child {
        let send: (Signal) throws -> Void
    }

    /// Runs `redislock run` around a script, and narrates what the script prints.
    @discardableResult
    private func runOnce(
        _ name: String, script: String, whenHeld: (Child) async throws -> Void
    ) async throws -> TerminationStatus {
        narrator.waits(name)
        defer { narrator.waitsNoMore(name) }
        let start = ContinuousClock.now
        var options = PlatformOptions()
        // A group of its own: so it can be frozen as a whole, and Ctrl-C reaches it through us alone.
        options.processGroupID = 0
        options.teardownSequence = [.gracefulShutDown(allowedDurationToNextStep: .seconds(2))]
        let run = [Self.ownPath, "run", "--key", key, "--ttl", "\(ttl.wholeMilliseconds)ms"] + nodes.arguments
        let result = try await Subprocess.run(
            .path("/bin/sh"),
            arguments: Arguments(["-c", Self.lifeline, "sh"] + run + ["--", "sh", "-c", script]),
            // Not as an argument: a password would be in the list of processes.
            environment: .inherit.updating(["REDISLOCK_NODES": nodes.environmentValue]),
            platformOptions: options,
            input: .inputWriter, output: .sequence, error: .combinedWithOutput
        ) { execution in
            let child = Child { try execution.send(signal: $0, toProcessGroup: true) }
            var token: Int64 = 0
            for try await line in execution.standardOutput.strings() {
                let words = line.split(separator: " ")
                let value = words.count == 2 ? Int64(words[1]) : nil
                switch (words.first, value) {
                case ("holds", .some(let value)):
                    token = value
                    narrator.holds(name, token: value, waited: ContinuousClock.now - start)
                    try await whenHeld(child)
                case ("wrote", .some(let value)): narrator.wrote(name, Int(value))
                case ("refused", .some(let value)): narrator.wasRefused(name, token: token, last: value)
                // Told by its exit status.
                case _ where line.hasPrefix("redislock: the lease on"): break
                default: narrator.say(name, line)
                }
            }
        }
        return result.terminationStatus
    }

    /// Where this program lies.
    private static var ownPath: String {
        #if os(Linux)
            var buffer = [CChar](repeating: 0, count: Int(PATH_MAX))
            let count = readlink("/proc/self/exe", &buffer, buffer.count)
            if count > 0 { return String(decoding: buffer[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self) }
        #endif
        return CommandLine.arguments[0]
    }
}
