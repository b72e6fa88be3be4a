import Hiredis
import Synchronization

/// Which of a client's nodes this is, checked as far as possible without asking it.
struct NodeIdentity: Sendable {
    let index: Int
    let url: RedisURL
    let isDurable: Bool
    let processes: ServerProcesses
}

/// Which server process is behind which node: two names of one server would let it vote twice.
final class ServerProcesses: Sendable {
    private let runIDs = Mutex<[Int: String]>([:])

    /// Notes what a node said at the handshake. Returns the other node that has the same process.
    func claim(_ runID: String, for index: Int) -> Int? {
        runIDs.withLock { runIDs in
            let other = runIDs.filter { $0.value == runID && $0.key != index }.keys.min()
            runIDs[index] = other == nil ? runID : nil
            return other
        }
    }
}
