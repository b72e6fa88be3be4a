/// Something that happens at an instant. Plain numbers only: moving it costs no reference counting.
struct SimulationEvent {
    enum Kind: UInt8 {
        /// A timer of a client's: client, slot, generation.
        case timer
        /// A request's deadline: client, slot, generation, with the server in `other`.
        case deadline
        /// A request arrives at its server: message.
        case arrival
        /// An answer arrives at its client: message.
        case answer
        /// A connection breaks: client, server, connection.
        case breakage
        /// A task of a client's goes on: client, task, step.
        case act
        /// Somebody may lose patience: client, task, operation.
        case cancel
        /// A request arrives at the store, or its answer at the client: request.
        case storeArrival, storeAnswer
        /// A fault of the plan begins: its index.
        case fault
        /// A server goes on, a server is up again, a client lives again: its index.
        case serverResumes, serverStarts, clientStarts
        /// The key of a lock vanishes: server, name.
        case eviction
        /// All faults end.
        case heal
    }

    var time: Int64
    /// Decides between events of one instant.
    var tie: UInt32
    var kind: Kind
    var subject: Int32
    var slot: Int32 = 0
    var other: Int32 = 0
    var generation: UInt32 = 0

    @inline(__always)
    static func < (left: SimulationEvent, right: SimulationEvent) -> Bool {
        left.time != right.time ? left.time < right.time : left.tie < right.tie
    }
}

/// A binary heap of events, earliest first.
struct SimulationQueue {
    private var events: ContiguousArray<SimulationEvent> = []

    var isEmpty: Bool { events.isEmpty }
    var count: Int { events.count }

    init() {
        events.reserveCapacity(256)
    }

    mutating func removeAll() {
        events.removeAll(keepingCapacity: true)
    }

    mutating func push(_ event: SimulationEvent) {
        events.append(event)
        events.withUnsafeMutableBufferPointer { events in
            var index = events.count - 1
            while index > 0 {
                let parent = (index - 1) / 2
                guard event < events[parent] else { break }
                events[index] = events[parent]
                index = parent
            }
            events[index] = event
        }
    }

    mutating func pop() -> SimulationEvent? {
        guard let last = events.popLast() else { return nil }
        guard let first = events.first else { return last }
        events.withUnsafeMutableBufferPointer { events in
            var index = 0
            let count = events.count
            while true {
                var child = 2 * index + 1
                guard child < count else { break }
                if child + 1 < count, events[child + 1] < events[child] { child += 1 }
                guard events[child] < last else { break }
                events[index] = events[child]
                index = child
            }
            events[index] = last
        }
        return first
    }
}
