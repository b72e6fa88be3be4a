extension LockHistory {
    /// Runs the checkers that apply.
    ///
    /// - Parameter inside: whether everything that exclusion assumes held: clocks, quarantines, no data lost early. If it
    ///   did not, tokens and the store must be right all the same; two may have held a lock at once.
    package func check(inside: Bool) -> [Violation] {
        var violations = TokenChecker().check(self) + StoreChecker().check(self)
        if inside {
            violations += LeaseOverlapChecker().check(self) + FencedMutexChecker().check(self)
        }
        return violations
    }
}
