import RedisLocksTesting
import TestSupport

/// Makes up histories as a correct lock would leave them: one holder after the other, with jitter around what each client
/// sees, and a counter in a store that checks tokens.
struct HistoryModel {
    private struct Counter {
        var value: Int64 = 0
        var fence: Int64 = 0
        /// A holder whose lease is over, and who does not know it.
        var straggler: (operation: Int, token: Int64)?
    }

    var generator: SeededGenerator
    private let names: [String]
    private let clients: Int
    private var freeAt: [String: Int64] = [:]
    private var fences: [String: Int64] = [:]
    private var clientFreeAt: [Int: Int64] = [:]
    private var counters: [String: Counter] = [:]
    private var storeClock: Int64 = 0

    init(seed: UInt64, names: [String] = ["a", "b", "c"], clients: Int = 6) {
        generator = SeededGenerator(seed: seed)
        self.names = names
        self.clients = clients
    }

    mutating func history(operations count: Int) -> LockHistory {
        var history = LockHistory()
        for id in 0..<count {
            let client = Int.random(in: 0..<clients, using: &generator)
            var set = names.shuffled(using: &generator)
            if set.count > 1 { set.removeLast(generator.chance(80) ? set.count - 1 : set.count - 2) }
            if generator.chance(10) {
                history.operations.append(failure(id, client, set))
            } else {
                let operation = granted(id, client, set)
                history.operations.append(operation)
                history.storeEvents += storeEvents(operation)
            }
        }
        return history
    }

    /// The moment at which a holder takes over lies after all holds before, and somewhere between what its client sees.
    private mutating func granted(_ id: Int, _ client: Int, _ set: [String]) -> LockOperation {
        let clientFree = clientFreeAt[client] ?? 0
        let free = set.map { freeAt[$0] ?? 0 }.max() ?? 0
        let start = max(free, clientFree) + jitter(3)
        let returned = start + jitter(20)
        let end = returned + jitter(50)
        let token = (set.map { fences[$0] ?? 0 }.max() ?? 0) + 1 + jitter(3)
        var operation = LockOperation(
            id: id, client: "client \(client)", names: set, invoked: max(clientFree, start - jitter(100)),
            returned: returned, outcome: .granted(token: token), deadline: end + jitter(100))
        switch Int.random(in: 0..<4, using: &generator) {
        case 0: operation.deadline = end
        case 1: operation.ended = end
        default:
            operation.releaseInvoked = end
            if generator.chance(90) { operation.releaseReturned = end + jitter(5) }
        }
        for name in set {
            freeAt[name] = end
            fences[name] = token
        }
        clientFreeAt[client] = operation.releaseReturned ?? end
        return operation
    }

    private mutating func failure(_ id: Int, _ client: Int, _ set: [String]) -> LockOperation {
        let invoked = clientFreeAt[client] ?? 0
        let returned = invoked + jitter(20)
        clientFreeAt[client] = returned
        return LockOperation(
            id: id, client: "client \(client)", names: set, invoked: invoked,
            returned: generator.chance(80) ? returned : nil, outcome: generator.chance(50) ? .refused : .unknown)
    }

    private mutating func storeEvents(_ operation: LockOperation) -> [StoreEvent] {
        guard let token = operation.token else { return [] }
        return operation.names.flatMap { name -> [StoreEvent] in
            var counter = counters[name] ?? Counter()
            defer { counters[name] = counter }
            var events: [StoreEvent] = []
            func add(_ id: Int, _ token: Int64, _ kind: StoreEvent.Kind, accepted: Bool = true) {
                storeClock += 1
                events.append(
                    StoreEvent(
                        at: storeClock, key: name, client: operation.client, operation: id, token: token, kind: kind,
                        accepted: accepted))
            }
            add(operation.id, token, .claim)
            if let late = counter.straggler {
                add(late.operation, late.token, .write(counter.value + 1), accepted: false)
            }
            add(operation.id, token, .read(counter.value))
            counter.value += 1
            add(operation.id, token, .write(counter.value))
            counter.straggler = (operation.id, token)
            return events
        }
    }

    private mutating func jitter(_ most: Int64) -> Int64 { Int64.random(in: 0...most, using: &generator) }
}
