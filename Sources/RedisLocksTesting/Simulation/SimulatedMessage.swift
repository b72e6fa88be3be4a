import RedisLocks

/// A request on its way, or its answer. One object all the way: copying it would cost more than what is done with it.
final class SimulatedMessage {
    let link: SimulatedLink
    /// The client's place for the answer; -1 when nobody waits for one.
    let slot: Int32
    let generation: UInt32
    /// -1 for what the client is told by its own side.
    let connection: Int32
    let request: NodeRequest
    var response: NodeResponse?
    /// The server's clock when it executed the request.
    var wall = WallTime(microseconds: 0)
    /// The script is part of it.
    var isWhole = false
    var isUnknownScript = false

    init(_ link: SimulatedLink, _ slot: Int32, _ generation: UInt32, _ connection: Int32, _ request: NodeRequest) {
        self.link = link
        self.slot = slot
        self.generation = generation
        self.connection = connection
        self.request = request
    }

    /// The same request once more, with no one to answer to.
    var duplicate: SimulatedMessage {
        let copy = SimulatedMessage(link, -1, generation, connection, request)
        copy.isWhole = isWhole
        return copy
    }
}
