import RedisLocks
import RedisLocksTesting
import Synchronization

/// A store in this process that checks fencing tokens, and tells a history what it was asked and did.
final class FencedStore: Sendable {
    private let fence = Mutex<Int64>(0)
    private let recorder: HistoryRecorder

    init(recorder: HistoryRecorder) {
        self.recorder = recorder
    }

    /// Raises the fence, before anything is read.
    @discardableResult
    func claim(_ client: String, _ operation: Int, _ lease: Lease) -> Bool {
        perform(client, operation, lease, .claim)
    }

    func write(_ client: String, _ operation: Int, _ lease: Lease, value: Int64 = 1) -> Bool {
        perform(client, operation, lease, .write(value))
    }

    private func perform(_ client: String, _ operation: Int, _ lease: Lease, _ kind: StoreEvent.Kind) -> Bool {
        fence.withLock { fence in
            let isAccepted = lease.fencingToken >= fence
            if isAccepted { fence = lease.fencingToken }
            recorder.store(
                key: "store", client: client, operation: operation, token: lease.fencingToken, kind,
                accepted: isAccepted)
            return isAccepted
        }
    }
}
