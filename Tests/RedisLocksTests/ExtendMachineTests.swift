import Testing

@testable import RedisLocks

@Suite("The extend machine")
struct ExtendMachineTests {
    let start = ContinuousClock.now
    let terms = LockTerms.forTests(names: ["a"])

    func machine(_ nodes: Int, old: Int64 = 6_000, latest: Int64? = nil) -> ExtendMachine {
        ExtendMachine(
            nodes: nodes, terms: terms, start: start, oldDeadline: start + .milliseconds(old),
            latestDeadline: latest.map { start + .milliseconds($0) })
    }

    @Test("The new deadline counts from the start of the attempt, not from its answer")
    func extends() {
        var machine = machine(1)
        let action = machine.answered(by: 0, with: .reply(.extended), at: start + .milliseconds(400))
        #expect(action == .extended(deadline: start + .milliseconds(9_898)))
    }

    @Test("A yes after the old deadline does not count: in between the name may have been someone else's")
    func lateYes() {
        var machine = machine(1, old: 300)
        expect(machine.answered(by: 0, with: .reply(.extended), at: start + .milliseconds(301)), is: .failed)
        var intime = self.machine(1, old: 300)
        expect(intime.answered(by: 0, with: .reply(.extended), at: start + .milliseconds(300)) == .failed, is: false)
    }

    @Test("A no is final; silence leaves the lease to its deadline")
    func noAndSilence() {
        var no = machine(1)
        expect(no.answered(by: 0, with: .reply(.notOurs), at: start), is: .taken)
        var silent = machine(1)
        expect(silent.answered(by: 0, with: .failure(NodeFailure(.ambiguous, .timedOut)), at: start), is: .failed)
    }

    @Test("The maximum hold caps the deadline")
    func capped() {
        var machine = machine(1, latest: 7_000)
        let action = machine.answered(by: 0, with: .reply(.extended), at: start)
        #expect(action == .extended(deadline: start + .milliseconds(7_000)))
    }

    @Test("With three nodes two decide, either way")
    func majorities() {
        var yes = machine(3)
        expect(yes.answered(by: 0, with: .reply(.notOurs), at: start), is: .wait)
        expect(yes.answered(by: 1, with: .reply(.extended), at: start), is: .wait)
        expect(yes.answered(by: 2, with: .reply(.extended), at: start) == .wait, is: false)
        var no = machine(3)
        expect(no.answered(by: 0, with: .reply(.notOurs), at: start), is: .wait)
        expect(no.answered(by: 1, with: .reply(.notOurs), at: start), is: .taken)
        var mixed = machine(3)
        expect(mixed.answered(by: 0, with: .reply(.notOurs), at: start), is: .wait)
        expect(mixed.answered(by: 1, with: .failure(NodeFailure(.ambiguous, .timedOut)), at: start), is: .failed)
    }
}
