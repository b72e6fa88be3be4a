extension LockHistory {
    /// Runs the checkers that apply.
    ///
    /// - Parameter inside: whether everything that exclusion assumes held: clocks, quarantines, no data lost early. If it
    ///   did not, tokens and the store must be right all the same; two may have held a lock at once.
    package func check(inside: Bool) -> [Violation] {
        let grants = grantsByName()
        var violations = TokenChecker().check(grants) + StoreChecker().check(self)
        if inside {
            violations += LeaseOverlapChecker().check(grants) + FencedMutexChecker().check(grants)
        }
        return violations
    }
}
