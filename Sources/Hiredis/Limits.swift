import CHiredis

/// What a server's reply may cost us. Each is enforced while the reply is read, before memory is spent on it.
package struct RedisLimits: Sendable, Equatable {
    /// How deep arrays may nest. hiredis 0.14 itself stops at 7.
    package var depth = 7
    /// How many elements one array may have.
    package var elements = 1_024
    /// How many elements all arrays of one reply may have together.
    package var totalElements = 8_192
    /// How long one string may be, in bytes.
    package var bulkBytes = 64 * 1_024
    /// How long a status, an error or any other line may be, in bytes.
    package var lineBytes = 64 * 1_024

    package init() {}

    /// More bytes than this cannot wait unparsed unless an element is longer than allowed: after each read all complete
    /// replies are taken out, so what is left is one element and its header.
    var unparsedBytes: Int { max(bulkBytes, lineBytes) + 64 }

    /// - Returns: a guard for one connection. The caller frees it, after the context that refers to it.
    func makeGuard() -> UnsafeMutablePointer<redis_locks_guard> {
        let pointer = UnsafeMutablePointer<redis_locks_guard>.allocate(capacity: 1)
        pointer.initialize(to: redis_locks_guard())
        pointer.pointee.max_depth = max(depth, 1)
        pointer.pointee.max_elements = max(elements, 0)
        pointer.pointee.max_total = max(totalElements, 0)
        pointer.pointee.max_bulk = max(bulkBytes, 0)
        pointer.pointee.max_line = max(lineBytes, 0)
        return pointer
    }

    /// What to tell of a reply that the guard refused; `nil` when it refused none.
    func error(for trip: CInt, at location: String) -> RedisError? {
        switch redis_locks_trip(rawValue: UInt32(trip)) {
        case REDIS_LOCKS_TRIP_NONE: nil
        case REDIS_LOCKS_TRIP_DEPTH:
            RedisError(.replyTooLarge, "A reply from \(location) nests deeper than \(depth) arrays (limits.depth).")
        case REDIS_LOCKS_TRIP_ELEMENTS:
            RedisError(
                .replyTooLarge,
                "An array in a reply from \(location) has more than \(elements) elements (limits.elements).")
        case REDIS_LOCKS_TRIP_TOTAL:
            RedisError(
                .replyTooLarge,
                "A reply from \(location) has more than \(totalElements) elements (limits.totalElements).")
        case REDIS_LOCKS_TRIP_BULK: tooLong(at: location)
        case REDIS_LOCKS_TRIP_UNSOLICITED:
            RedisError(.protocolViolation, "\(location) sent a reply that nobody asked for; is it a Redis server?")
        case REDIS_LOCKS_TRIP_SHAPE:
            RedisError(.protocolViolation, "\(location) sent a malformed pub/sub message; is it a Redis server?")
        case REDIS_LOCKS_TRIP_TYPE:
            RedisError(.protocolViolation, "\(location) sent a RESP3 reply on a RESP2 connection.")
        default: RedisError(.replyTooLarge, "There was no memory for a reply from \(location).")
        }
    }

    func tooLong(at location: String) -> RedisError {
        RedisError(
            .replyTooLarge,
            "A string or line in a reply from \(location) is longer than \(bulkBytes) or \(lineBytes) bytes "
                + "(limits.bulkBytes, limits.lineBytes).")
    }
}
