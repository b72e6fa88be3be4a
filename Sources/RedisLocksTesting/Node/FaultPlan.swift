import RedisLocks

/// Which faults are still to come, and for whom.
struct FaultPlan: Sendable {
    struct Entry: Sendable {
        var fault: Fault
        var kinds: Set<RequestKind>
        /// Only requests that mention this name.
        var name: LockName?
        /// `nil` until healed.
        var remaining: Int?
        var id: UInt64
    }

    private var entries: [Entry] = []
    private var lastID: UInt64 = 0

    /// Returns what ``remove(_:)`` needs.
    @discardableResult
    mutating func add(_ fault: Fault, kinds: Set<RequestKind>, name: LockName? = nil, times: Int?) -> UInt64 {
        lastID += 1
        entries.append(Entry(fault: fault, kinds: kinds, name: name, remaining: times, id: lastID))
        return lastID
    }

    mutating func remove(_ id: UInt64) {
        entries.removeAll { $0.id == id }
    }

    mutating func clear() {
        entries = []
    }

    /// The fault that this request meets: of those that fit, the one that was injected first.
    mutating func take(for request: NodeRequest) -> Fault? {
        guard let index = entries.firstIndex(where: { $0.fits(request) && $0.remaining != 0 }) else { return nil }
        let fault = entries[index].fault
        if let remaining = entries[index].remaining {
            entries[index].remaining = remaining - 1
            if remaining <= 1 { entries.remove(at: index) }
        }
        return fault
    }
}

extension FaultPlan.Entry {
    fileprivate func fits(_ request: NodeRequest) -> Bool {
        kinds.contains(request.kind) && (name.map(request.names.contains) ?? true)
    }
}

extension NodeRequest {
    var kind: RequestKind {
        switch self {
        case .acquire: .acquire
        case .confirm: .confirm
        case .extend: .extend
        case .release: .release
        case .inspect: .inspect
        case .breakLock: .breakLock
        case .findCounter, .initialize: .initialize
        case .ping: .ping
        }
    }

    /// Whether the reply says what time it is at the server.
    var tellsTime: Bool {
        switch self {
        case .acquire, .extend: true
        default: false
        }
    }

    var names: [LockName] {
        switch self {
        case .acquire(let request): request.names
        case .confirm(let names, _, _, _), .extend(let names, _, _, _, _), .release(let names, _): names
        case .inspect(let name), .breakLock(let name): [name]
        case .findCounter, .initialize, .ping: []
        }
    }
}
