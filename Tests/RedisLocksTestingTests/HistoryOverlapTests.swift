import RedisLocksTesting
import Testing

@Suite("Overlapping leases in histories")
struct HistoryOverlapTests {
    private func violations(_ operations: LockOperation...) -> [Violation] {
        LeaseOverlapChecker().check(LockHistory(operations: operations))
    }

    private let first = grant(1, token: 1, invoked: 0, held: 5..<10)

    @Test("Leases that touch are disjoint")
    func touching() {
        #expect(violations(first, grant(2, token: 2, invoked: 0, held: 10..<20)).isEmpty)
    }

    @Test("An overlap of a nanosecond is found")
    func nanosecond() {
        let found = violations(first, grant(2, token: 2, invoked: 0, held: 9..<20))
        #expect(found.kinds == [.overlappingLeases])
        #expect(found.first?.operations == [1, 2])
        #expect(found.first?.sentence.contains("for 1 ns") == true)
    }

    @Test("A lease ends at its deadline, at its release or at its loss, whichever comes first")
    func ends() {
        let second = grant(2, token: 2, invoked: 0, held: 8..<20)
        for end in [\LockOperation.deadline, \.releaseInvoked, \.ended] {
            var operation = first
            operation.deadline = 1000
            operation.releaseInvoked = nil
            operation.releaseReturned = nil
            operation[keyPath: end] = 8
            #expect(violations(operation, second).isEmpty)
            operation[keyPath: end] = 9
            #expect(violations(operation, second).kinds == [.overlappingLeases])
        }
    }

    @Test("A lease within a longer one is found behind others, and only for names they share")
    func nested() {
        let long = grant(1, token: 1, invoked: 0, held: 5..<100, names: ["x", "y"])
        let other = grant(2, token: 2, invoked: 0, held: 10..<20, names: ["z"])
        let inner = grant(3, token: 3, invoked: 0, held: 50..<60, names: ["y", "z"])
        #expect(violations(long, other).isEmpty)
        #expect(violations(long, other, inner).map(\.operations) == [[1, 3]])
        let early = grant(4, token: 4, invoked: 0, held: 10..<20, names: ["y"])
        #expect(violations(long, early, inner).map(\.operations) == [[1, 4], [1, 3]])
    }

    @Test("Who was told after its own deadline never held anything")
    func late() {
        var late = grant(2, token: 2, invoked: 0, held: 8..<20)
        late.deadline = 8
        #expect(violations(first, late).isEmpty)
    }

    @Test("A lease without an end is held for ever")
    func endless() {
        var endless = first
        endless.deadline = nil
        endless.releaseInvoked = nil
        #expect(violations(endless, grant(2, token: 2, invoked: 0, held: 5000..<5001)).kinds == [.overlappingLeases])
    }
}
