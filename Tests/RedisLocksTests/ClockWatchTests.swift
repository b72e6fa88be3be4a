import Testing

@testable import RedisLocks

@Suite("What is known about the nodes' clocks")
struct ClockWatchTests {
    static let origin = ContinuousClock.now

    /// A clock that is `offset` ms ahead, read at `at` ms, with an answer that took `trip` ms.
    func reading(offset: Int64, at: Int64, trip: Int64 = 2) -> ClockReading {
        ClockReading(
            server: 1_800_000_000_000_000 + (at + trip / 2 + offset) * 1000,
            sent: Self.origin + .milliseconds(at), received: Self.origin + .milliseconds(at + trip))
    }

    func watch(_ nodes: Int) -> ClockWatch {
        ClockWatch(
            nodes: nodes, maximumSkew: .seconds(1), driftFactor: 0.01, memory: .seconds(60), origin: Self.origin)
    }

    @Test("A node further from the median than the limit is skewed, ahead or behind; the others are not")
    func skew() {
        for offset in [Int64(1_500), -1_500] {
            var watch = watch(3)
            watch.observe(reading(offset: 0, at: 0), of: 0)
            watch.observe(reading(offset: 10, at: 0), of: 1)
            watch.observe(reading(offset: offset, at: 0), of: 2)
            #expect(watch.skew(of: 0) == nil)
            #expect(watch.skew(of: 1) == nil)
            #expect((1_480...1_510).contains(watch.skew(of: 2)?.milliseconds ?? 0))
        }
    }

    @Test("Old measurements of the others do not convict the first node that answers after a long time")
    func age() {
        var watch = watch(3)
        for node in 0..<3 { watch.observe(reading(offset: 0, at: 0), of: node) }
        // For ten minutes nothing was asked, and our clock has gone 0.5 % slow: all nodes seem 3 s ahead by now.
        watch.observe(reading(offset: 3_000, at: 600_000), of: 0)
        #expect(watch.skew(of: 0) == nil)
        watch.observe(reading(offset: 3_000, at: 600_000), of: 1)
        watch.observe(reading(offset: 4_500, at: 600_000), of: 2)
        #expect(watch.skew(of: 1) == nil)
        #expect(watch.skew(of: 2) != nil, "measured at the same time as the others, it is 1.5 s off")
    }

    @Test("What an interval leaves open is not held against a node")
    func uncertainty() {
        var watch = watch(3)
        watch.observe(reading(offset: 0, at: 0), of: 0)
        watch.observe(reading(offset: 0, at: 0), of: 1)
        // Its answer took 3 s, in which it may have read its clock at any time.
        watch.observe(reading(offset: 2_000, at: 0, trip: 3_000), of: 2)
        #expect(watch.skew(of: 2) == nil)
        watch.observe(reading(offset: 2_000, at: 4_000), of: 2)
        #expect(watch.skew(of: 2) != nil)
    }

    @Test("Nobody is accused while fewer than three clocks are known, and never among two nodes")
    func tooFew() {
        var three = watch(3)
        three.observe(reading(offset: 0, at: 0), of: 0)
        three.observe(reading(offset: 60_000, at: 0), of: 1)
        #expect(three.skew(of: 0) == nil)
        #expect(three.skew(of: 1) == nil)
        var two = watch(2)
        two.observe(reading(offset: 0, at: 0), of: 0)
        two.observe(reading(offset: 60_000, at: 0), of: 1)
        #expect(two.skew(of: 1) == nil)
    }

    @Test("A jump is what two intervals prove beyond drift", arguments: [Int64(500), -500])
    func step(size: Int64) {
        var watch = watch(3)
        expect(watch.observe(reading(offset: 0, at: 0), of: 0), is: .zero)
        // 1 s later, 1 % of drift explains 10 ms, and each answer leaves 2 ms open.
        expect(watch.observe(reading(offset: 12, at: 1_000), of: 0), is: .zero)
        let step = watch.observe(reading(offset: 12 + size, at: 1_010), of: 0)
        #expect((495...500).contains(step.milliseconds))
    }

    @Test(
        "A node that jumped is distrusted for as long as a lease may live that it granted before, and for small drifts only"
    )
    func memory() {
        var watch = watch(3)
        watch.observe(reading(offset: 0, at: 0), of: 0)
        watch.observe(reading(offset: 400, at: 10), of: 0)
        let soon = Self.origin + .seconds(59)
        #expect(watch.step(of: 0, beyond: .milliseconds(102), at: soon) != nil)
        #expect(watch.step(of: 0, beyond: .milliseconds(500), at: soon) == nil)
        #expect(watch.step(of: 0, beyond: .milliseconds(102), at: soon + .seconds(2)) == nil)
        #expect(watch.step(of: 1, beyond: .milliseconds(102), at: soon) == nil)
    }

    @Test("When a majority jumps, it may be our own clock: nobody is accused, but leases that are held are doubted")
    func together() {
        var watch = watch(3)
        for node in 0..<3 { watch.observe(reading(offset: 0, at: 0), of: node) }
        watch.observe(reading(offset: 5_000, at: 10), of: 0)
        let now = Self.origin + .milliseconds(20)
        #expect(watch.step(of: 0, beyond: .milliseconds(102), at: now) != nil, "one alone")
        watch.observe(reading(offset: 5_000, at: 10), of: 1)
        #expect(watch.step(of: 0, beyond: .milliseconds(102), at: now) == nil)
        #expect(watch.step(of: 0, beyond: .milliseconds(102), since: Self.origin) != nil)
        #expect(watch.step(of: 0, beyond: .milliseconds(102), since: now) == nil, "it was before that lease")
    }

    @Test("An answer that is older than the last one changes nothing, and the same one twice is no jump")
    func order() {
        var watch = watch(3)
        watch.observe(reading(offset: 0, at: 100), of: 0)
        expect(watch.observe(reading(offset: 900, at: 50), of: 0), is: .zero)
        expect(watch.observe(reading(offset: 0, at: 100), of: 0), is: .zero)
    }
}
