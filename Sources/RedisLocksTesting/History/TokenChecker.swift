/// Tokens are never given out twice, and grow: what must hold whatever clocks, networks and lock keys do.
///
/// If a grant was told before another acquire began, its token is smaller. O(n log n).
package struct TokenChecker: Sendable {
    package init() {}

    package func check(_ history: LockHistory) -> [Violation] {
        check(history.grantsByName())
    }

    func check(_ grantsByName: LockHistory.GrantsByName) -> [Violation] {
        grantsByName.flatMap { name, grants in
            let sorted = grants.sorted { ($0.token, $0.id) < ($1.token, $1.id) }
            return equalTokens(name, sorted) + inversions(name, sorted) + inversionsByClient(name, sorted)
        }
    }

    private func equalTokens(_ name: String, _ sorted: [LockHistory.Grant]) -> [Violation] {
        zip(sorted, sorted.dropFirst()).compactMap { first, second in
            guard first.token == second.token else { return nil }
            return Violation(
                .equalTokens, "“\(name)”: \(first) and \(second) got the same token.",
                operations: [first.id, second.id])
        }
    }

    /// A sweep by token that remembers the latest beginning so far: whoever was told earlier than that came too early.
    private func inversions(_ name: String, _ sorted: [LockHistory.Grant]) -> [Violation] {
        var latest: LockHistory.Grant?
        var violations: [Violation] = []
        for grant in sorted {
            if let latest, grant.returned < latest.operation.tokenInvoked {
                violations.append(inversion(.invertedTokens, name, grant, latest))
            }
            if grant.operation.tokenInvoked > latest?.operation.tokenInvoked ?? .min { latest = grant }
        }
        return violations
    }

    /// One client's operations follow each other even where the clock does not tell two instants apart.
    private func inversionsByClient(_ name: String, _ sorted: [LockHistory.Grant]) -> [Violation] {
        var latestByClient: [String: LockHistory.Grant] = [:]
        var violations: [Violation] = []
        for grant in sorted where !grant.operation.isHandedOff {
            let latest = latestByClient[grant.operation.client]
            let begin = (grant.operation.invoked, grant.id)
            guard let latest else {
                latestByClient[grant.operation.client] = grant
                continue
            }
            let latestBegin = (latest.operation.invoked, latest.id)
            if begin < latestBegin, grant.returned == latest.operation.invoked {
                violations.append(inversion(.invertedTokensOfClient, name, grant, latest))
            }
            if begin > latestBegin { latestByClient[grant.operation.client] = grant }
        }
        return violations
    }

    private func inversion(
        _ kind: Violation.Kind, _ name: String, _ early: LockHistory.Grant, _ late: LockHistory.Grant
    ) -> Violation {
        Violation(
            kind, "“\(name)”: \(late) began after \(early) had been told, and got no greater token.",
            operations: [early.id, late.id])
    }
}
