extension RedisLocks.Configuration {
    /// Refuses what cannot work, whatever lock is asked for.
    func check(nodes: Int) throws(LockError) {
        try require(
            maximumTTL >= Self.minimumTTL && maximumTTL <= .seconds(86_400),
            "`maximumTTL` is \(maximumTTL.inSeconds); it must be from 100 ms to 1 day.")
        try require(
            driftFactor.isFinite && (0...0.1).contains(driftFactor),
            "`driftFactor` is \(driftFactor); it must be from 0 to 0.1.")
        try require(
            counterExpiry >= .seconds(86_400),
            "`counterExpiry` is \(counterExpiry.inSeconds); it must be at least 1 day.")
        try require(
            counterExpiry <= .seconds(10 * 366 * 86_400),
            "`counterExpiry` is \(counterExpiry.inSeconds); it must be at most 10 years.")
        try require(
            (1...1_000_000).contains(maximumWaiters),
            "`maximumWaiters` is \(maximumWaiters); it must be from 1 to 1,000,000.")
        try require(
            (1...128).contains(maximumNamesPerLock),
            "`maximumNamesPerLock` is \(maximumNamesPerLock); it must be from 1 to 128.")
        try require(
            connectTimeout >= .milliseconds(10) && connectTimeout <= .seconds(60),
            "`connectTimeout` is \(connectTimeout.inSeconds); it must be from 10 ms to 60 s.")
        try require(
            !clientName.isEmpty && clientName.utf8.allSatisfy { (0x21...0x7E).contains($0) },
            "`clientName` must be printable ASCII without spaces.")
        try require(
            shutdownGrace >= .zero && shutdownGrace <= .seconds(3600),
            "`shutdownGrace` is \(shutdownGrace.inSeconds); it must be from 0 to 1 hour.")
        try require(
            maximumClockSkew >= .milliseconds(10) && maximumClockSkew <= Self.guardMargin,
            "`maximumClockSkew` is \(maximumClockSkew.inSeconds); it must be from 10 ms to 1 s.")
        _ = try terms(names: [], ttl: nil, nodes: nodes)
    }

    /// For how long a node does not vote that may have forgotten what it granted; `nil` when the guard is off.
    ///
    /// By then the longest lease has expired, on a clock that was as slow as ``driftFactor`` allows, and so has the second
    /// in which it was anchored, on nodes that differ by as much as ``maximumClockSkew`` allows.
    package func guardTime(nodes: Int) -> Duration? {
        switch restartGuard {
        case .automatic where nodes == 1, .unsafeOff: nil
        case .automatic, .on: maximumTTL * (1 + driftFactor) + .seconds(1) + Self.guardMargin
        }
    }

    private static let guardMargin: Duration = .seconds(1)

    /// The settings of one lock, checked.
    package func terms(names: [LockName], ttl requested: Duration?, nodes: Int) throws(LockError) -> LockTerms {
        // Redis counts milliseconds: what it would cut off is cut off here, so that both sides mean the same ttl.
        let asked = requested ?? self.ttl
        try require(
            asked >= Self.minimumTTL && asked <= maximumTTL,
            "The ttl is \(asked.inSeconds); it must be from 100 ms to `maximumTTL`, which is \(maximumTTL.inSeconds).",
            names)
        let ttl = Duration.milliseconds(asked.milliseconds)
        let drift = ttl * driftFactor + .milliseconds(2)
        let minimumValidity = self.minimumValidity ?? ttl / 2
        try require(
            minimumValidity > .zero && minimumValidity < ttl - drift,
            "`minimumValidity` is \(minimumValidity.inSeconds); with a ttl of \(ttl.inSeconds) it must be more than 0 and "
                + "less than \((ttl - drift).inSeconds) (ttl - drift).", names)
        let nodeTimeout = self.nodeTimeout ?? min(max(ttl / 20, .milliseconds(50)), .seconds(1), ttl / 4)
        try require(
            nodeTimeout >= .milliseconds(1) && nodeTimeout < minimumValidity && nodeTimeout < ttl / 3,
            "`nodeTimeout` is \(nodeTimeout.inSeconds); with a ttl of \(ttl.inSeconds) it must be at least 1 ms and less than "
                + "\(min(minimumValidity, ttl / 3).inSeconds) (the minimum validity and the renewal interval).", names)
        let earlyWarning = self.earlyWarning ?? ttl / 3
        try require(
            earlyWarning >= .zero && earlyWarning < ttl - drift,
            "`earlyWarning` is \(earlyWarning.inSeconds); with a ttl of \(ttl.inSeconds) it must be less than "
                + "\((ttl - drift).inSeconds) (ttl - drift).", names)
        if let maximumHold {
            try require(
                maximumHold >= ttl && maximumHold <= .seconds(366 * 86_400),
                "`maximumHold` is \(maximumHold.inSeconds); it must be from the ttl, \(ttl.inSeconds), to a year; `nil` means "
                    + "no limit.", names)
        }
        return LockTerms(
            names: names, ttl: ttl, drift: drift, minimumValidity: minimumValidity, nodeTimeout: nodeTimeout,
            earlyWarning: earlyWarning, maximumHold: maximumHold, counterExpiry: counterExpiry,
            // Nodes agree on a token by their clocks' seconds; a lone node need not agree, and must not repeat itself
            // when it restarts empty within a second.
            granularityMicroseconds: nodes > 1 ? 1_000_000 : 1,
            guardTime: guardTime(nodes: nodes))
    }

    /// Checks the names of one lock and sorts out duplicates.
    func names(_ strings: [String]) throws(LockError) -> [LockName] {
        try require(!strings.isEmpty, "A lock needs at least one name.")
        try require(
            strings.count <= maximumNamesPerLock,
            "\(strings.count) names were asked for at once; `maximumNamesPerLock` allows \(maximumNamesPerLock).")
        var names: [LockName] = []
        for string in strings {
            let name = try LockName(string)
            if !names.contains(name) { names.append(name) }
        }
        return names
    }

    private static let minimumTTL: Duration = .milliseconds(100)

    private func require(_ condition: Bool, _ message: String, _ names: [LockName] = []) throws(LockError) {
        guard condition else { throw LockError(.misconfigured, message, names: names.map(\.string)) }
    }
}
