import RedisLocks

/// A request to the store that the locks protect, on its way there or back.
struct StoreRequest {
    enum Kind {
        case claim, read, write
    }

    var kind: Kind
    var client: Int
    var task: Int
    var operation: Int
    var token: Int64
    var name: Int
    /// Read, or to be written.
    var value: Int64
    var isAccepted = false
}

/// A counter for each name, fenced: whoever claims with a token keeps out all with a smaller one.
struct SimulatedStore {
    private var fences: [Int64] = Array(repeating: 0, count: SimulationCatalogue.names.count)
    private var values: [Int64] = Array(repeating: 0, count: SimulationCatalogue.names.count)

    mutating func execute(_ request: inout StoreRequest) -> StoreEvent.Kind {
        request.isAccepted = request.token >= fences[request.name]
        switch request.kind {
        case .claim:
            if request.isAccepted { fences[request.name] = request.token }
            return .claim
        case .read:
            request.value = values[request.name]
            return .read(request.value)
        case .write:
            if request.isAccepted {
                fences[request.name] = request.token
                values[request.name] = request.value
            }
            return .write(request.value)
        }
    }
}
