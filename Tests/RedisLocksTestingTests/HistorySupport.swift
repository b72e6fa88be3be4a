import RedisLocksTesting

/// A grant that was asked for at `invoked`, told at `held.lowerBound`, and given back at `held.upperBound`.
func grant(
    _ id: Int, token: Int64, invoked: Int64, held: Range<Int64>, client: String? = nil, names: [String] = ["job"],
    leaseInvoked: Int64? = nil
) -> LockOperation {
    LockOperation(
        id: id, client: client ?? "client \(id)", names: names, invoked: invoked, returned: held.lowerBound,
        outcome: .granted(token: token), deadline: held.upperBound + 1000, releaseInvoked: held.upperBound,
        releaseReturned: held.upperBound + 5, leaseInvoked: leaseInvoked)
}

func claim(_ at: Int64, by operation: Int, _ token: Int64, accepted: Bool = true) -> StoreEvent {
    StoreEvent(
        at: at, key: "k", client: "c", operation: operation, token: token, kind: .claim, accepted: accepted)
}

func read(_ at: Int64, by operation: Int, _ token: Int64, _ value: Int64) -> StoreEvent {
    StoreEvent(at: at, key: "k", client: "c", operation: operation, token: token, kind: .read(value))
}

func write(_ at: Int64, by operation: Int, _ token: Int64, _ value: Int64, accepted: Bool = true) -> StoreEvent {
    StoreEvent(
        at: at, key: "k", client: "c", operation: operation, token: token, kind: .write(value), accepted: accepted)
}

extension LockHistory {
    init(_ first: LockOperation, _ others: LockOperation...) {
        self.init(operations: [first] + others)
    }
}

extension [Violation] {
    var kinds: [Violation.Kind] { map(\.kind) }
}
