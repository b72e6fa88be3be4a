/// The engine's failures as sentences.
extension LockError {
    static func closedClient(_ names: [String]) -> LockError {
        LockError(.closed, "The lock client was shut down; make a new one to go on.", names: names)
    }

    static func cancelledWait(_ names: [String]) -> LockError {
        LockError(.cancelled, "The task was cancelled while it waited for the lock \(names.quoted).", names: names)
    }

    static func tooManyWaiters(_ names: [String], _ limit: Int) -> LockError {
        LockError(
            .overloaded,
            "\(limit) tasks of this process wait for locks already; retry later, or raise `maximumWaiters`.",
            names: names)
    }

    static func stillHeld(_ waiter: Waiter, at now: ContinuousClock.Instant, heldHere: Bool) -> LockError {
        let names = waiter.terms.nameStrings
        let holder = heldHere ? "held or waited for in this process" : "held by someone else"
        let sentence =
            "The lock \(names.quoted) was still \(holder) after \((now - waiter.started).inSeconds); "
            + "try again later, or wait longer."
        return LockError(.waitTimedOut, sentence, names: names, nodes: waiter.reports)
    }

    static func late(_ waiter: Waiter) -> LockError {
        let names = waiter.terms.nameStrings
        return LockError(
            .quorumUnreachable,
            "The lock \(names.quoted) was granted, but so late that less than its minimum validity was left; look for a stalled "
                + "process or a slow network, or use a longer ttl.", names: names, nodes: waiter.reports)
    }

    static func unreachable(_ waiter: Waiter, at now: ContinuousClock.Instant) -> LockError {
        let names = waiter.terms.nameStrings
        if let abstention = abstention(waiter.reports) {
            return LockError(
                .quorumUnreachable,
                "Too few nodes vote to take the lock \(names.quoted): \(abstention)", names: names,
                nodes: waiter.reports)
        }
        return LockError(
            .quorumUnreachable,
            "Too few nodes answered to take the lock \(names.quoted) within \((now - waiter.started).inSeconds); "
                + "check that they run and can be reached.",
            names: names, nodes: waiter.reports)
    }

    /// Why the restart guard, or a clock, costs the majority; `nil` when it does not.
    private static func abstention(_ reports: [NodeReport]) -> String? {
        let tolerable = (reports.count - 1) / 2
        var unreachable = 0
        var quarantined: [(node: String, remaining: Duration)] = []
        var skewed: [String] = []
        for report in reports {
            switch report.outcome {
            case .quarantined(let remaining): quarantined.append((report.node, remaining))
            case .clockSkewed: skewed.append(report.node)
            case .unreachable, .timedOut, .refused: unreachable += 1
            case .won, .heldByOther, .notNeeded: break
            }
        }
        guard unreachable <= tolerable else { return nil }
        if let longest = quarantined.map(\.remaining).max() {
            return
                "\(quarantined.map(\.node).joined(separator: ", ")) restarted, or \(quarantined.count == 1 ? "was" : "were") "
                + "emptied or added, and may have forgotten locks that are held; wait another \(longest.inSeconds) (or run "
                + "`redislock init`, if the whole fleet is new)."
        }
        return skewed.isEmpty
            ? nil : "the clock of \(skewed.joined(separator: ", ")) is off; synchronize the nodes' clocks."
    }

    static func noFencing(_ waiter: Waiter) -> LockError {
        let names = waiter.terms.nameStrings
        return LockError(
            .fencingUnavailable,
            "A majority granted the lock \(names.quoted), but did not agree on a fencing token in time; try again.",
            names: names, nodes: waiter.reports)
    }

    static func refusedByNodes(_ waiter: Waiter) -> LockError {
        .refusedByNodes(waiter.reports, names: waiter.terms.nameStrings)
    }

    static func refusedByNodes(_ reports: [NodeReport], names: [String] = []) -> LockError {
        let reasons = reports.compactMap { report -> String? in
            if case .refused = report.outcome { report.description } else { nil }
        }
        return LockError(
            .misconfigured,
            "The server refuses to serve as a lock node, and will until a setting is changed: "
                + (reasons.first ?? "no reason given"),
            names: names, nodes: reports)
    }
}

extension [String] {
    /// `"a"`, or `"a", "b"`.
    package var quoted: String { map { "\"\($0)\"" }.joined(separator: ", ") }
}
