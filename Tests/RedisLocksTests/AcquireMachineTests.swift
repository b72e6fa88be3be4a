import Testing

@testable import RedisLocks

@Suite("The acquire machine")
struct AcquireMachineTests {
    let start = ContinuousClock.now
    var deadline: ContinuousClock.Instant { start + .seconds(10) - .milliseconds(102) }
    let terms = LockTerms.forTests(names: ["a"])

    func machine(_ nodes: Int) -> AcquireMachine {
        AcquireMachine(nodes: nodes, terms: terms, start: start)
    }

    func at(_ milliseconds: Int64) -> ContinuousClock.Instant {
        start + .milliseconds(milliseconds)
    }

    @Test("One node that grants is a quorum: one answer decides")
    func loneGrant() {
        var machine = machine(1)
        let action = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 7)), at: at(3))
        #expect(action == .granted(top: 7, deadline: deadline))
    }

    @Test("Validity counts from the start of the attempt, drift taken off")
    func deadlineFormula() {
        #expect(terms.deadline(from: start) == start + .milliseconds(10_000 - 100 - 2))
    }

    @Test("A held node is contention, and its remaining time is the hint", arguments: [Int64?.none, 1234])
    func loneHeld(remaining: Int64?) {
        var machine = machine(1)
        let action = machine.acquireAnswered(by: 0, with: .reply(.held(remaining: remaining)), at: at(1))
        #expect(action == .refused(.contended(hint: remaining.map { .milliseconds($0) })))
        #expect(machine.nodesToRelease.isEmpty, "a plain no has left nothing behind")
    }

    @Test(
        "Failures of a lone node are classed, and only uncertain ones need a release",
        arguments: [
            (NodeFailure.Effect.notApplied, AcquireMachine.Refusal.unreachable, [Int]()),
            (.ambiguous, .unreachable, [0]),
            (.permanent, .misconfigured, []),
        ])
    func loneFailure(effect: NodeFailure.Effect, refusal: AcquireMachine.Refusal, toRelease: [Int]) {
        var machine = machine(1)
        let action = machine.acquireAnswered(by: 0, with: .failure(NodeFailure(effect, .timedOut)), at: at(1))
        #expect(action == .refused(refusal))
        #expect(machine.nodesToRelease == toRelease)
    }

    @Test("After an uncertain answer, a plain no does not prove that nothing was left behind")
    func resentThenHeld() {
        var machine = machine(1)
        machine.resent(at: at(50))
        let action = machine.acquireAnswered(by: 0, with: .reply(.held(remaining: 5)), at: at(60))
        #expect(action == .refused(.contended(hint: .milliseconds(5))))
        #expect(machine.nodesToRelease == [0])
    }

    @Test("Validity of a repeated request counts from the repetition")
    func resentGrant() {
        var machine = machine(1)
        machine.resent(at: at(500))
        let action = machine.acquireAnswered(by: 0, with: .reply(.alreadyOurs(top: 9)), at: at(501))
        #expect(action == .granted(top: 9, deadline: deadline + .milliseconds(500)))
    }

    @Test("A grant that leaves less than the minimum validity is refused and released")
    func lateGrant() {
        var machine = machine(1)
        let action = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 7)), at: at(4_899))
        #expect(action == .refused(.late))
        #expect(machine.nodesToRelease == [0])
        var intime = self.machine(1)
        let other = intime.acquireAnswered(by: 0, with: .reply(.granted(top: 7)), at: at(4_898))
        #expect(other == .granted(top: 7, deadline: deadline))
    }

    @Test("A majority in agreement is granted without waiting for the rest")
    func majorityAgrees() {
        var machine = machine(3)
        expect(machine.acquireAnswered(by: 2, with: .reply(.granted(top: 5)), at: at(1)), is: .wait)
        let action = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 5)), at: at(2))
        #expect(action == .granted(top: 5, deadline: deadline))
        expect(machine.acquireAnswered(by: 1, with: .reply(.granted(top: 5)), at: at(3)), is: .wait)
    }

    @Test("A majority that cannot be won any more is refused without waiting for the rest")
    func majorityLost() {
        var machine = machine(3)
        expect(machine.acquireAnswered(by: 0, with: .reply(.held(remaining: 400)), at: at(1)), is: .wait)
        let action = machine.acquireAnswered(by: 2, with: .reply(.held(remaining: 200)), at: at(2))
        #expect(action == .refused(.contended(hint: .milliseconds(200))), "one of the two must become free")
        #expect(machine.nodesToRelease == [1], "the silent node may have granted")
    }

    @Test("Nodes that disagree are confirmed at the greatest token, and only those below it are asked")
    func confirmRound() {
        var machine = machine(3)
        _ = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 9)), at: at(1))
        let action = machine.acquireAnswered(by: 1, with: .reply(.granted(top: 4)), at: at(2))
        #expect(action == .confirm(nodes: [1], top: 9))
        let decided = machine.confirmAnswered(by: 1, top: 9, with: .reply(.confirmed), at: at(3))
        #expect(decided == .granted(top: 9, deadline: deadline))
    }

    @Test("A counter that is already higher raises the token and starts another round")
    func raisedInConfirm() {
        var machine = machine(3)
        _ = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 9)), at: at(1))
        _ = machine.acquireAnswered(by: 1, with: .reply(.granted(top: 4)), at: at(2))
        let second = machine.confirmAnswered(by: 1, top: 9, with: .reply(.raised(top: 12)), at: at(3))
        #expect(second == .confirm(nodes: [0], top: 12))
        let decided = machine.confirmAnswered(by: 0, top: 12, with: .reply(.confirmed), at: at(4))
        #expect(decided == .granted(top: 12, deadline: deadline))
    }

    @Test("Three rounds without agreement end the attempt")
    func roundsAreBounded() {
        var machine = machine(2)
        _ = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 1)), at: at(1))
        var action = machine.acquireAnswered(by: 1, with: .reply(.granted(top: 2)), at: at(2))
        for round in 1...3 {
            guard case .confirm(let nodes, let top) = action, let node = nodes.first else {
                Issue.record("round \(round): \(action)")
                return
            }
            action = machine.confirmAnswered(by: node, top: top, with: .reply(.raised(top: top + 1)), at: at(3))
        }
        #expect(action == .refused(.fencingUnavailable))
        #expect(machine.nodesToRelease == [0, 1])
    }

    @Test("A confirmation that comes too late for the minimum validity is refused")
    func lateConfirm() {
        var machine = machine(3)
        _ = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 9)), at: at(1))
        _ = machine.acquireAnswered(by: 1, with: .reply(.granted(top: 4)), at: at(2))
        expect(machine.confirmAnswered(by: 1, top: 9, with: .reply(.confirmed), at: at(6_000)), is: .refused(.late))
    }

    @Test("A node that lost the grant before its confirmation leaves the majority")
    func confirmNotOurs() {
        var machine = machine(3)
        _ = machine.acquireAnswered(by: 2, with: .reply(.held(remaining: 100)), at: at(1))
        _ = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 9)), at: at(1))
        _ = machine.acquireAnswered(by: 1, with: .reply(.granted(top: 4)), at: at(2))
        let action = machine.confirmAnswered(by: 1, top: 9, with: .reply(.notOurs), at: at(3))
        guard case .refused = action else {
            Issue.record("\(action)")
            return
        }
        #expect(machine.nodesToRelease == [0])
    }

    @Test("A third node that answers while a confirmation is under way may complete the majority")
    func lateWinnerInConfirm() {
        var machine = machine(3)
        _ = machine.acquireAnswered(by: 0, with: .reply(.granted(top: 9)), at: at(1))
        _ = machine.acquireAnswered(by: 1, with: .reply(.granted(top: 4)), at: at(2))
        let action = machine.acquireAnswered(by: 2, with: .reply(.granted(top: 9)), at: at(3))
        #expect(action == .granted(top: 9, deadline: deadline))
    }

    @Test("An even split settles at once")
    func evenTie() {
        var machine = machine(2)
        expect(machine.acquireAnswered(by: 0, with: .reply(.granted(top: 1)), at: at(1)), is: .wait)
        let action = machine.acquireAnswered(by: 1, with: .reply(.held(remaining: 30)), at: at(1))
        #expect(action == .refused(.contended(hint: .milliseconds(30))))
        #expect(machine.nodesToRelease == [0])
    }

    @Test("An answer that does not belong to the question counts as uncertain, never as a grant")
    func nonsense() {
        var machine = machine(1)
        let action = machine.acquireAnswered(by: 0, with: .reply(.extended), at: at(1))
        #expect(action == .refused(.unreachable))
        #expect(machine.nodesToRelease == [0])
    }

    @Test("Reports say what each node did, in order")
    func reports() {
        var machine = machine(3)
        _ = machine.acquireAnswered(by: 1, with: .reply(.quarantined(remaining: 70)), at: at(1))
        _ = machine.acquireAnswered(by: 0, with: .failure(NodeFailure(.ambiguous, .timedOut)), at: at(1))
        let outcomes = machine.reports(labels: ["x", "y", "z"]).map(\.outcome)
        #expect(outcomes == [.timedOut, .quarantined(remaining: .milliseconds(70)), .notNeeded])
    }
}

extension LockTerms {
    static func forTests(names: [String], ttl: Duration = .seconds(10)) -> LockTerms {
        LockTerms(
            names: names.compactMap { try? LockName($0) }, ttl: ttl, drift: ttl * 0.01 + .milliseconds(2),
            minimumValidity: ttl / 2, nodeTimeout: .milliseconds(500), earlyWarning: ttl / 3, maximumHold: nil,
            counterExpiry: .seconds(7 * 86_400), granularityMicroseconds: 1)
    }
}
