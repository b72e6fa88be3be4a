import TestSupport
import Testing

@testable import RedisLocks

@Suite("The local waiting line")
struct WaitLineTests {
    func names(_ strings: String...) throws -> [LockName] {
        try strings.map { try LockName($0) }
    }

    @Test("First come, first served, one at a time")
    func fifo() throws {
        var line = WaitLine()
        let name = try names("a")
        expect(line.join(1, names: name), is: true)
        expect(line.join(2, names: name), is: false)
        expect(line.join(3, names: name), is: false)
        expect(line.leave(1), is: [2])
        expect(line.leave(2), is: [3])
        expect(line.leave(3), is: [])
        #expect(line.isFree(name))
        #expect(line.count == 0)
    }

    @Test("Leaving from the middle wakes nobody")
    func middle() throws {
        var line = WaitLine()
        let name = try names("a")
        for id in 1...3 { _ = line.join(UInt64(id), names: name) }
        expect(line.leave(2), is: [])
        expect(line.leave(1), is: [3])
        expect(line.leave(1), is: [], "leaving twice is harmless")
    }

    @Test("A set waits until it is first for every member, and then goes before later ones")
    func sets() throws {
        var line = WaitLine()
        expect(line.join(1, names: try names("a")), is: true)
        expect(line.join(2, names: try names("b")), is: true)
        expect(line.join(3, names: try names("a", "b")), is: false)
        expect(line.join(4, names: try names("b")), is: false)
        expect(line.leave(1), is: [])
        expect(line.leave(2), is: [3])
        expect(line.leave(3), is: [4])
    }

    @Test("Crossing sets cannot wait for each other")
    func crossing() throws {
        var line = WaitLine()
        expect(line.join(1, names: try names("a", "b")), is: true)
        expect(line.join(2, names: try names("b", "a")), is: false)
        expect(line.leave(1), is: [2])
    }

    @Test("Leaving can bring several up, in the order in which they joined")
    func several() throws {
        var line = WaitLine()
        _ = line.join(1, names: try names("a", "b", "c"))
        _ = line.join(2, names: try names("c"))
        _ = line.join(3, names: try names("a"))
        expect(line.leave(1), is: [2, 3])
    }

    @Test("In random traffic at most one is up for each name, and everybody comes up")
    func randomTraffic() throws {
        var random = SeededGenerator(seed: 11)
        let all = try names("a", "b", "c", "d")
        for _ in 0..<200 {
            var line = WaitLine()
            var up: Set<UInt64> = []
            var members: [UInt64: [LockName]] = [:]
            for id in 1...20 as ClosedRange<UInt64> {
                let wanted = all.filter { _ in Bool.random(using: &random) }
                members[id] = wanted.isEmpty ? [all[0]] : wanted
                if line.join(id, names: members[id] ?? []) { up.insert(id) }
            }
            var served = 0
            while let next = up.randomElement(using: &random) {
                let held = up.flatMap { members[$0] ?? [] }
                try #require(Set(held).count == held.count, "two holders of one name")
                up.remove(next)
                served += 1
                up.formUnion(line.leave(next))
            }
            try #require(served == 20)
        }
    }
}
