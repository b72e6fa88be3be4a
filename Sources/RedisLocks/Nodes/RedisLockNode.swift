import Reactor
final class RedisLockNode: LockNode {
    init(url: String, configuration: RedisLocks.Configuration, reactor: Reactor) {}
    static func check(_ urls: [String], configuration: RedisLocks.Configuration) throws(LockError) -> [String] { urls }
    var label: String { "" }
    func send(_ request: NodeRequest, deadline: ContinuousClock.Instant, completion: @escaping (NodeResponse) -> Void) {
    }
    func setWanted(_ isWanted: Bool) {}
    var onEvent: ((NodeEvent) -> Void)?
    func close(deadline: ContinuousClock.Instant, completion: @escaping () -> Void) {}
}
