/// At no instant do two holders believe that they hold one name. O(n log n).
///
/// A holder believes it from when it is told until its deadline, until it begins to release, or until it is told of the
/// loss, whichever comes first; not at that instant itself, so intervals may touch.
package struct LeaseOverlapChecker: Sendable {
    package init() {}

    package func check(_ history: LockHistory) -> [Violation] {
        check(history.grantsByName())
    }

    func check(_ grantsByName: LockHistory.GrantsByName) -> [Violation] {
        grantsByName.flatMap { name, grants in overlaps(name, grants) }
    }

    private func overlaps(_ name: String, _ grants: [LockHistory.Grant]) -> [Violation] {
        let held = grants.filter { $0.returned < $0.operation.holdEnd }
            .sorted { ($0.returned, $0.id) < ($1.returned, $1.id) }
        var longest: LockHistory.Grant?
        var violations: [Violation] = []
        for grant in held {
            if let longest, grant.returned < longest.operation.holdEnd {
                violations.append(overlap(name, longest, grant))
            }
            if grant.operation.holdEnd > longest?.operation.holdEnd ?? .min { longest = grant }
        }
        return violations
    }

    private func overlap(_ name: String, _ first: LockHistory.Grant, _ second: LockHistory.Grant) -> Violation {
        let length = min(first.operation.holdEnd, second.operation.holdEnd) - second.returned
        return Violation(
            .overlappingLeases, "“\(name)”: \(first) and \(second) both held it for \(length) ns.",
            operations: [first.id, second.id])
    }
}
