import RedisLocksTesting
import Testing

@Suite("Tokens in histories")
struct HistoryTokenTests {
    private func violations(_ operations: LockOperation...) -> [Violation] {
        TokenChecker().check(LockHistory(operations: operations))
    }

    @Test("Growing tokens pass, with gaps and whatever the order of the record")
    func growing() {
        #expect(
            violations(
                grant(3, token: 9, invoked: 40, held: 45..<50), grant(1, token: 1, invoked: 0, held: 5..<10),
                grant(2, token: 2, invoked: 20, held: 25..<30)
            ).isEmpty)
    }

    @Test("Two grants with one token are found, even when both overlap")
    func equal() {
        let found = violations(
            grant(1, token: 7, invoked: 0, held: 5..<10), grant(2, token: 7, invoked: 3, held: 8..<12))
        #expect(found.kinds == [.equalTokens])
        #expect(found.first?.operations == [1, 2])
    }

    @Test("A smaller token for whoever began after the other was told is found")
    func inverted() {
        let found = violations(
            grant(1, token: 7, invoked: 0, held: 5..<10), grant(2, token: 6, invoked: 6, held: 8..<12))
        #expect(found.kinds == [.invertedTokens])
        #expect(found.first?.operations == [1, 2])
    }

    @Test("Acquires that overlap, if only by an instant, may get their tokens in either order")
    func concurrent() {
        #expect(
            violations(
                grant(1, token: 7, invoked: 0, held: 5..<10), grant(2, token: 6, invoked: 5, held: 8..<12)
            ).isEmpty)
    }

    @Test("An inversion is found behind any number of grants between")
    func far() {
        var operations = (0..<50).map { grant($0, token: 100 + Int64($0), invoked: Int64($0) * 10, held: 5..<6) }
        for index in operations.indices { operations[index].returned = operations[index].invoked + 5 }
        operations.append(grant(99, token: 3, invoked: 600, held: 605..<606))
        let found = TokenChecker().check(LockHistory(operations: operations))
        #expect(Set(found.kinds) == [.invertedTokens])
        #expect(found.count == 50, "every grant told before")
    }

    @Test("One client's grants follow each other even at one instant")
    func client() {
        let first = grant(1, token: 7, invoked: 5, held: 5..<5, client: "a")
        #expect(
            violations(first, grant(2, token: 6, invoked: 5, held: 5..<5, client: "a")).kinds == [
                .invertedTokensOfClient
            ])
        #expect(violations(first, grant(2, token: 6, invoked: 5, held: 5..<5, client: "b")).isEmpty)
        #expect(violations(first, grant(2, token: 8, invoked: 5, held: 5..<5, client: "a")).isEmpty)
        let handed = grant(2, token: 6, invoked: 5, held: 5..<5, client: "a", leaseInvoked: 0)
        #expect(violations(first, handed).isEmpty, "its place was settled before")
    }

    @Test("A set counts for each of its names, and names do not disturb each other")
    func sets() {
        let set = grant(1, token: 7, invoked: 0, held: 5..<10, names: ["x", "y"])
        #expect(violations(set, grant(2, token: 6, invoked: 20, held: 25..<30, names: ["z"])).isEmpty)
        #expect(
            violations(set, grant(2, token: 6, invoked: 20, held: 25..<30, names: ["y", "z"])).kinds == [
                .invertedTokens
            ])
        #expect(
            violations(set, grant(2, token: 7, invoked: 20, held: 25..<30, names: ["y", "x"])).kinds.count {
                $0 == .equalTokens
            }
                == 2, "once for each name")
    }

    @Test("A token that was handed on dates from the acquire of its block, and is unique all the same")
    func handedOff() {
        // The key vanished early: 50 was granted between the acquire of the block 10...12 and the hand-off of 11.
        let between = grant(2, token: 50, invoked: 20, held: 25..<30)
        let handed = grant(3, token: 11, invoked: 35, held: 40..<45, leaseInvoked: 0)
        #expect(violations(between, handed).isEmpty)
        #expect(violations(between, grant(3, token: 11, invoked: 35, held: 40..<45)).kinds == [.invertedTokens])
        let stolen = grant(3, token: 50, invoked: 35, held: 40..<45, leaseInvoked: 0)
        #expect(violations(between, stolen).kinds == [.equalTokens])
        let after = grant(4, token: 10, invoked: 60, held: 65..<70)
        #expect(
            violations(handed, after).kinds == [.invertedTokens], "who comes later has a greater one than the block")
    }

    @Test("Refused and unknown acquires have no token to compare")
    func others() {
        let found = violations(
            grant(1, token: 7, invoked: 0, held: 5..<10),
            LockOperation(id: 2, client: "b", names: ["job"], invoked: 20, returned: 25, outcome: .refused),
            LockOperation(id: 3, client: "c", names: ["job"], invoked: 20))
        #expect(found.isEmpty)
    }
}
