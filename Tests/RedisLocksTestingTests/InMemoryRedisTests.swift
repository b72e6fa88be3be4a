import RedisLocks
import RedisLocksTesting
import Testing

/// The scripts' behaviour over time, which the conformance suite leaves out: there is no waiting for a real server here.
@Suite("The in-memory Redis")
struct InMemoryRedisTests {
    private let name: LockName
    private let other: LockName
    private var generator = SystemRandomNumberGenerator()
    private var redis = InMemoryRedis(runID: Array("first".utf8))
    private let start = WallTime(microseconds: 1_800_000_000_000_000)

    init() throws {
        name = try LockName("a")
        other = try LockName("b")
    }

    private func later(_ milliseconds: Int64) -> WallTime {
        WallTime(microseconds: start.microseconds + milliseconds * 1000)
    }

    private mutating func acquire(
        _ names: [LockName], _ owner: OwnerID, guardTime: Int64 = 0, isDurable: Bool = false, at now: WallTime
    ) -> NodeResponse {
        let request = AcquireRequest(
            names: names, owner: owner, ttl: 10_000, counterExpiry: 86_400_000, guardTime: guardTime,
            isDurable: isDurable)
        return redis.execute(.acquire(request), at: now)
    }

    @Test("A key lives through its last millisecond, and no longer")
    mutating func expiry() {
        let (mine, theirs) = (OwnerID(using: &generator), OwnerID(using: &generator))
        #expect(acquire([name], mine, at: start) == .reply(.granted(top: start.microseconds + 1)))
        #expect(acquire([name], theirs, at: later(10_000)) == .reply(.held(remaining: 0)))
        #expect(acquire([name], theirs, at: later(10_001)) == .reply(.granted(top: later(10_001).microseconds + 1)))
        #expect(redis.keys(at: later(30_000)).count == 1, "the counter outlives the lock")
        #expect(redis.keys(at: later(200_000_000)).isEmpty)
    }

    @Test("A retry gets the token of the first request, and the whole ttl again")
    mutating func retry() {
        let owner = OwnerID(using: &generator)
        #expect(acquire([name], owner, at: start) == .reply(.granted(top: start.microseconds + 1)))
        #expect(acquire([name], owner, at: later(9_000)) == .reply(.alreadyOurs(top: start.microseconds + 1)))
        #expect(redis.entry(name.bytes, at: later(19_000)) != nil)
    }

    @Test("A set of which a part has vanished is granted anew, with a greater token")
    mutating func partOfASet() {
        let owner = OwnerID(using: &generator)
        #expect(acquire([name, other], owner, at: start) == .reply(.granted(top: start.microseconds + 1)))
        redis.delete(other.bytes, at: start)
        #expect(acquire([name, other], owner, at: start) == .reply(.granted(top: start.microseconds + 2)))
    }

    @Test("With the guard on, a node that is new, was emptied or has a new process does not vote for a while")
    mutating func quarantine() {
        let owner = OwnerID(using: &generator)
        #expect(acquire([name], owner, guardTime: 5_000, at: start) == .reply(.quarantined(remaining: 5_000)))
        #expect(acquire([name], owner, guardTime: 5_000, at: later(4_999)) == .reply(.quarantined(remaining: 1)))
        let granted = acquire([name], owner, guardTime: 5_000, at: later(5_000))
        #expect(granted == .reply(.granted(top: later(5_000).microseconds + 1)))

        redis.runID = Array("second".utf8)
        let durable = acquire([name], owner, guardTime: 5_000, isDurable: true, at: later(6_000))
        #expect(durable == .reply(.alreadyOurs(top: later(5_000).microseconds + 1)))
        redis.runID = Array("third".utf8)
        let volatile = acquire([name], owner, guardTime: 5_000, at: later(6_000))
        #expect(volatile == .reply(.quarantined(remaining: 5_000)))
        redis.flush()
        #expect(acquire([name], owner, guardTime: 5_000, at: later(12_000)) == .reply(.quarantined(remaining: 5_000)))
    }

    @Test("Confirmation is exact, and extension repairs a counter that was lost")
    mutating func confirmAndExtend() {
        let owner = OwnerID(using: &generator)
        let top = start.microseconds + 1
        func confirm(_ top: Int64) -> NodeRequest {
            .confirm(names: [name], owner: owner, top: top, counterExpiry: 86_400_000)
        }
        #expect(redis.execute(confirm(top), at: start) == .reply(.notOurs))
        #expect(acquire([name], owner, at: start) == .reply(.granted(top: top)))
        #expect(redis.execute(confirm(top - 1), at: start) == .reply(.raised(top: top)))
        #expect(redis.execute(confirm(top + 1), at: start) == .reply(.confirmed))
        redis.delete(name.fenceKey, at: start)
        let extend = NodeRequest.extend(
            names: [name], owner: owner, ttl: 10_000, top: top + 1, counterExpiry: 86_400_000)
        #expect(redis.execute(extend, at: later(9_000)) == .reply(.extended))
        #expect(redis.entry(name.fenceKey, at: start)?.value == .string(Array("\(top + 1)".utf8)))
        #expect(redis.execute(extend, at: later(19_001)) == .reply(.notOurs))
    }

    @Test("A counter that is used up ends in an error, and nothing is written")
    mutating func exhausted() {
        let owner = OwnerID(using: &generator)
        redis.set(name.fenceKey, to: InMemoryRedis.Entry(.string(Array("9007199254740990".utf8))))
        let exhausted = acquire([name], owner, at: start)
        #expect(
            exhausted == .failure(NodeFailure(.permanent, .refused("EXHAUSTED fencing counter"))))
        #expect(redis.entry(name.bytes, at: start) == nil)
    }
}
