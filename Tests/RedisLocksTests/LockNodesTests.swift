import Testing

@testable import RedisLocks

@Suite("Which sets of nodes are accepted")
struct LockNodesTests {
    func refusal(_ nodes: LockNodes, _ change: (inout RedisLocks.Configuration) -> Void = { _ in }) -> LockError? {
        var configuration = RedisLocks.Configuration()
        change(&configuration)
        do throws(LockError) {
            _ = try RedisLocks(nodes, configuration: configuration)
            return nil
        } catch {
            return error
        }
    }

    @Test("From two to nine different servers, odd or even", arguments: 2...9)
    func accepted(count: Int) {
        #expect(refusal(.redlock((0..<count).map { "redis://host\($0)" })) == nil)
    }

    @Test("None, one and ten are refused as a quorum, and the message says what is allowed")
    func count() {
        let one = refusal(.redlock(["redis://host"]))
        #expect(one?.code == .misconfigured)
        #expect(one?.message.contains("use `.node` for one") == true)
        #expect(refusal(.node("redis://host")) == nil)
        #expect(refusal(.redlock([String]()))?.code == .misconfigured)
        let ten = refusal(.redlock((0..<10).map { "redis://host\($0)" }))
        #expect(ten?.code == .misconfigured)
        #expect(ten?.message.contains("9 are the most") == true)
    }

    @Test(
        "The same server twice is refused, whatever else differs in the URL",
        arguments: [
            ["redis://a", "redis://b", "redis://a"], ["redis://a", "redis://a:6379/3"],
            ["redis://localhost", "redis://u:p@localhost:6379"], ["unix:///tmp/r", "unix:///tmp/r?db=1"],
        ])
    func twins(urls: [String]) {
        let error = refusal(.redlock(urls))
        #expect(error?.code == .misconfigured)
        #expect(error?.message.contains("a quorum needs different servers") == true)
        #expect(error?.message.contains("u:p") == false)
    }

    @Test("Durable and other nodes may be mixed")
    func durable() {
        #expect(
            refusal(.redlock([.init("redis://a", isDurable: true), .init("redis://b"), .init("redis://c")])) == nil)
    }

    @Test("The skew that is tolerated is at most what the restart guard allows for", arguments: [5, 1_001])
    func skew(milliseconds: Int64) {
        let error = refusal(.redlock(["redis://a", "redis://b", "redis://c"])) {
            $0.maximumClockSkew = .milliseconds(milliseconds)
        }
        #expect(error?.code == .misconfigured)
    }

    @Test("A ttl beyond the fleet's greatest is refused, for the quarantine is sized by it")
    func maximumTTL() async throws {
        let locks = try RedisLocks(.redlock(["redis://127.0.0.1:1", "redis://127.0.0.1:2", "redis://127.0.0.1:3"]))
        let error = await #expect(throws: LockError.self) { try await locks.acquire("job", ttl: .seconds(61)) }
        #expect(error?.code == .misconfigured)
        await locks.shutdown()
    }

    @Test("The guard lasts longer than the longest lease on the slowest clock, and a second each for anchor and skew")
    func guardTime() {
        var configuration = RedisLocks.Configuration()
        configuration.maximumTTL = .seconds(10)
        configuration.driftFactor = 0.1
        #expect(configuration.guardTime(nodes: 3) == .seconds(13))
        #expect(configuration.guardTime(nodes: 1) == nil)
        configuration.restartGuard = .on
        #expect(configuration.guardTime(nodes: 1) == .seconds(13))
        configuration.restartGuard = .unsafeOff
        #expect(configuration.guardTime(nodes: 3) == nil)
    }
}
