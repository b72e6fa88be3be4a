import RedisLocksTesting
import Testing

@Suite("The fenced mutex behind histories")
struct HistoryMutexTests {
    /// With and without the search, which must agree.
    private func violations(_ operations: LockOperation...) -> [Violation] {
        let history = LockHistory(operations: operations)
        let found = FencedMutexChecker().check(history)
        #expect(FencedMutexChecker(searchesAlways: true).check(history) == found)
        return found
    }

    @Test("Grants one after the other pass, touching or not")
    func sequence() {
        #expect(
            violations(
                grant(1, token: 1, invoked: 0, held: 5..<10), grant(2, token: 2, invoked: 0, held: 10..<20),
                grant(3, token: 8, invoked: 30, held: 35..<40)
            ).isEmpty)
    }

    @Test("Holders in the opposite order to their tokens are found, though tokens and intervals pass alone")
    func missedByOthers() {
        // Both ask at 0. The first is told at 5 and done at 10, so it came first; but its token is greater.
        let history = LockHistory(
            grant(1, token: 2, invoked: 0, held: 5..<10), grant(2, token: 1, invoked: 0, held: 15..<20))
        #expect(TokenChecker().check(history).isEmpty)
        #expect(LeaseOverlapChecker().check(history).isEmpty)
        let found = FencedMutexChecker().check(history)
        #expect(found.kinds == [.notLinearizable])
        #expect(found.first?.operations.contains(2) == true)
        #expect(history.check(inside: true).kinds == [.notLinearizable])
        #expect(history.check(inside: false).isEmpty)
    }

    @Test("A grant while another holds is found")
    func overlap() {
        #expect(
            violations(
                grant(1, token: 1, invoked: 0, held: 5..<10), grant(2, token: 2, invoked: 0, held: 9..<20)
            ).kinds == [.notLinearizable])
    }

    @Test("A deadline frees the mutex like a release")
    func deadline() {
        var expired = grant(1, token: 1, invoked: 0, held: 5..<10)
        expired.releaseInvoked = nil
        expired.releaseReturned = nil
        expired.deadline = 12
        #expect(violations(expired, grant(2, token: 2, invoked: 8, held: 12..<20)).isEmpty)
        #expect(violations(expired, grant(2, token: 2, invoked: 8, held: 11..<20)).kinds == [.notLinearizable])
    }

    @Test("Acquires of unknown and negative outcome explain nothing and disturb nothing")
    func unknown() {
        let pending = LockOperation(id: 8, client: "p", names: ["job"], invoked: 0)
        let refused = LockOperation(id: 9, client: "r", names: ["job"], invoked: 0, returned: 3, outcome: .refused)
        #expect(violations(pending, refused, grant(1, token: 1, invoked: 0, held: 5..<10)).isEmpty)
        #expect(
            violations(
                pending, refused, grant(1, token: 1, invoked: 0, held: 5..<10),
                grant(2, token: 2, invoked: 0, held: 6..<20)
            ).kinds == [.notLinearizable])
    }

    @Test("Names are mutexes of their own, and a set is part of each of its names'")
    func names() {
        let set = grant(1, token: 2, invoked: 0, held: 5..<10, names: ["x", "y"])
        #expect(violations(set, grant(2, token: 1, invoked: 0, held: 5..<10, names: ["z"])).isEmpty)
        #expect(
            violations(set, grant(2, token: 3, invoked: 0, held: 7..<9, names: ["y"])).map(\.kind) == [.notLinearizable]
        )
    }

    @Test("A search that gives up is a finding, not a success")
    func undecided() {
        let operations = (0..<8).map {
            grant($0, token: Int64($0), invoked: 0, held: Int64($0) * 10..<Int64($0) * 10 + 5)
        }
        let found = FencedMutexChecker(maximumStates: 3, searchesAlways: true).check(
            LockHistory(operations: operations))
        #expect(found.kinds == [.undecided])
        #expect(FencedMutexChecker().check(LockHistory(operations: operations)).isEmpty)
    }
}
