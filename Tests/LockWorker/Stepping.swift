import RedisLocks
import RedisLocksTesting
import TestSupport

/// Does one thing after the other as it is told, and says what came of each: `acquire`, `claim`, `read`, `write`,
/// `release`, `lost` (waits for the loss), and `gate:NAME` (waits until a file of that name is there).
struct Stepping {
    private let client: Client
    private let store: CounterStore
    private let steps: [String]
    private let folder: String
    private let told: LineFile

    init(_ arguments: Arguments) throws {
        client = try Client(arguments)
        store = try CounterStore(arguments.string("store"), isFenced: true)
        steps = try arguments.string("steps").split(separator: ",").map(String.init)
        folder = try arguments.string("folder")
        told = try LineFile("\(folder)/told")
    }

    func run() async throws {
        try await RedisLocks.with(client.nodes, configuration: client.configuration) { locks in
            try await locks.connect()
            var lease: Lease?
            var read: Int64 = 0
            let id = client.recorder.begin(client: client.name, names: client.names)
            for step in steps {
                told.append("begin \(step)")
                do {
                    let result = try await perform(step, locks, &lease, &read, id)
                    told.append("done \(step) \(result)")
                } catch let error as LockError {
                    told.append(
                        "failed \(step) \(error.code)\(error.code.leaseLossReason.map { " \($0.rawValue)" } ?? "")")
                }
            }
            told.append("end")
        }
        await store.close()
    }

    private func perform(
        _ step: String, _ locks: RedisLocks, _ lease: inout Lease?, _ read: inout Int64, _ id: Int
    ) async throws -> String {
        if step.hasPrefix("gate:") {
            let path = "\(folder)/\(step.dropFirst(5))"
            try await waitUntil("\(path) is there", within: .seconds(120)) { access(path, F_OK) == 0 }
            return ""
        }
        if step == "acquire" {
            let granted = try await locks.acquire(client.names, wait: client.wait)
            client.recorder.granted(id, granted)
            lease = granted
            return "\(granted.fencingToken)"
        }
        guard let lease else { throw TestSupportError("No lease for \(step).") }
        switch step {
        case "valid": return "\(lease.isValid)"
        case "lost":
            let reason = await lease.lost()
            client.recorder.lost(id)
            return reason?.rawValue ?? "released"
        case "release":
            client.recorder.releaseInvoked(id)
            try await lease.release()
            client.recorder.releaseReturned(id)
            return ""
        default:
            let answer = try await store.perform(step, value: read + 1, by: client, under: lease, id)
            if step == "read" { read = answer.value }
            return answer.isAccepted ? "accepted" : "refused"
        }
    }
}
