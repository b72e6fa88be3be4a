import RedisLocksTesting
import Testing

@Suite("Stores, sets and leaks in histories")
struct HistoryStoreTests {
    private func violations(_ events: StoreEvent...) -> [Violation] {
        StoreChecker().check(LockHistory(storeEvents: events))
    }

    @Test("Holders that claim, read and write one after the other pass")
    func orderly() {
        #expect(
            violations(
                claim(1, by: 1, 10), read(2, by: 1, 10, 5), write(3, by: 1, 10, 6),
                claim(4, by: 2, 11), read(5, by: 2, 11, 6), write(6, by: 2, 11, 7),
                // Two rounds under one lease; the refused late write of the first.
                write(7, by: 1, 10, 7, accepted: false),
                read(8, by: 2, 11, 7), write(9, by: 2, 11, 8)
            ).isEmpty)
    }

    @Test("An accepted write from before a later claim is found")
    func stale() {
        let found = violations(claim(1, by: 1, 10), claim(2, by: 2, 11), write(3, by: 1, 10, 1))
        #expect(found.kinds == [.staleWrite])
        #expect(found.first?.operations == [2, 1])
    }

    @Test("Accepted tokens that go down are found, for claims and for writes without claims")
    func down() {
        #expect(violations(claim(1, by: 1, 11), claim(2, by: 2, 10)).kinds == [.storeTokenWentDown])
        #expect(violations(write(1, by: 1, 11, 0), write(2, by: 2, 10, 0)).kinds == [.storeTokenWentDown])
        #expect(
            violations(claim(1, by: 1, 11), claim(2, by: 2, 9), claim(3, by: 3, 10)).kinds
                == [.storeTokenWentDown, .storeTokenWentDown], "the highest counts, not the last")
        #expect(violations(claim(1, by: 1, 11), claim(2, by: 1, 11), claim(3, by: 2, 10, accepted: false)).isEmpty)
    }

    @Test("A write over an update that its holder had not read is a lost update")
    func lostUpdate() {
        let found = violations(
            claim(1, by: 1, 10), read(2, by: 1, 10, 5), claim(3, by: 2, 10), read(4, by: 2, 10, 5),
            write(5, by: 1, 10, 6), write(6, by: 2, 10, 6))
        #expect(found.kinds == [.lostUpdate])
        #expect(found.first?.operations == [1, 2])
    }

    @Test("A second write after one read is a lost update of one's own")
    func twice() {
        #expect(
            violations(claim(1, by: 1, 10), read(2, by: 1, 10, 5), write(3, by: 1, 10, 6), write(4, by: 1, 10, 6)).kinds
                == [.lostUpdate])
    }

    @Test("A store that forgets a write is found by the next read")
    func rollback() {
        let found = violations(
            claim(1, by: 1, 10), read(2, by: 1, 10, 5), write(3, by: 1, 10, 6), claim(4, by: 2, 11),
            read(5, by: 2, 11, 5),
            write(6, by: 2, 11, 6))
        #expect(found.kinds == [.wrongValueRead], "once, not for everything that follows")
    }

    @Test("A holder that reads before its claim, or writes what it did not read, is found")
    func order() {
        #expect(
            violations(read(1, by: 1, 10, 5), claim(2, by: 1, 10), write(3, by: 1, 10, 6)).kinds == [.writeWithoutRead])
        #expect(
            violations(claim(1, by: 1, 10), read(2, by: 1, 10, 5), write(3, by: 1, 10, 7)).kinds == [.wrongValueWritten]
        )
    }

    @Test("Keys have fences and values of their own")
    func keys() {
        var other = claim(2, by: 2, 3)
        other.key = "other"
        #expect(violations(claim(1, by: 1, 10), other).isEmpty)
    }

    @Test("Events of one instant stand in the order of their execution")
    func instant() {
        #expect(violations(claim(1, by: 1, 10), claim(1, by: 2, 11)).isEmpty)
        #expect(violations(claim(1, by: 2, 11), claim(1, by: 1, 10)).kinds == [.storeTokenWentDown])
    }

    @Test("Elements that were acknowledged are there at the end; those that are not are counted")
    func protectedSet() {
        #expect(ProtectedSetChecker(acknowledged: [1, 2], present: [2, 1, 3]).check().isEmpty, "3 was never answered")
        let checker = ProtectedSetChecker(attempted: [1, 2, 3, 4], acknowledged: [1, 2, 3], present: [2, 4, 9])
        #expect(checker.lost == [1, 3])
        #expect(checker.invented == [9])
        #expect(checker.check().kinds == [.lostElement, .lostElement, .inventedElement])
    }

    @Test("Keys, connections and tasks that are left over are found")
    func leaks() {
        #expect(LeakChecker(connectionsBefore: 3, connectionsAfter: 3, tasksBefore: 2, tasksAfter: 1).check().isEmpty)
        let found = LeakChecker(
            remainingLockKeys: ["b", "a"], connectionsBefore: 3, connectionsAfter: 4, tasksBefore: 0, tasksAfter: 1
        ).check()
        #expect(found.kinds == [.leakedKey, .leakedKey, .leakedConnections, .leakedTasks])
    }
}
