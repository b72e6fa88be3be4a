/// So many of one bucket.
public struct Line: Hashable, Sendable, Codable {
    /// Of what.
    public let bucket: Bucket
    /// How many: at least 1.
    public let quantity: Int

    /// Makes a line.
    public init(_ bucket: Bucket, quantity: Int = 1) {
        self.bucket = bucket
        self.quantity = quantity
    }

    /// One line for each night of a stay.
    ///
    /// - Parameters:
    ///   - item: the kind of room.
    ///   - arrival: an ISO 8601 date, such as `2026-12-24`.
    ///   - nights: how many: at least 1.
    ///   - rooms: how many rooms.
    /// - Returns: nothing when `arrival` is no date; ``ReservationService`` refuses a reservation without lines.
    public static func stay(_ item: String, arrival: String, nights: Int, rooms: Int = 1) -> [Line] {
        guard var date = CalendarDate(arrival), nights > 0 else { return [] }
        var lines: [Line] = []
        for _ in 0..<nights {
            lines.append(Line(.night(item, date.text), quantity: rooms))
            date = date.next
        }
        return lines
    }
}

/// The lines of a reservation, checked: one for each bucket, in the order of buckets.
///
/// Merged first, so that the same bucket twice in a cart is asked for once and in full. Sorted, so that no two carts
/// ever wait for each other.
public struct Cart: Hashable, Sendable, Codable {
    /// At least one; no two with the same bucket; sorted by bucket.
    public let lines: [Line]

    /// The buckets, sorted.
    public var buckets: [Bucket] { lines.map(\.bucket) }

    package init(merging lines: [Line], limits: ReservationLimits) throws(ReservationError) {
        guard !lines.isEmpty else { throw .invalid("/lines", "A reservation needs at least one line.") }
        guard lines.count <= limits.linesPerRequest else {
            throw .invalid(
                "/lines", "\(lines.count) lines were asked for; at most \(limits.linesPerRequest) are allowed.")
        }
        var quantities: [Bucket: Int] = [:]
        for (index, line) in lines.enumerated() {
            if let flaw = line.bucket.flaw { throw .invalid("/lines/\(index)/bucket", flaw) }
            guard line.quantity >= 1, line.quantity <= limits.quantityPerLine else {
                throw .invalid(
                    "/lines/\(index)/quantity",
                    "The quantity is \(line.quantity); it must be from 1 to \(limits.quantityPerLine).")
            }
            let total = quantities[line.bucket, default: 0] + line.quantity
            guard total <= limits.quantityPerLine else {
                throw .invalid(
                    "/lines/\(index)/quantity",
                    "All lines for \(line.bucket) together ask for \(total); at most \(limits.quantityPerLine) are allowed."
                )
            }
            guard line.bucket.kind != .seat || total == 1 else {
                throw .invalid("/lines/\(index)", "\(line.bucket) was asked for twice; there is one of each seat.")
            }
            quantities[line.bucket] = total
        }
        self.lines = quantities.map { Line($0.key, quantity: $0.value) }.sorted { $0.bucket < $1.bucket }
    }

    /// For stores, which read what was checked when it was written.
    package init(trusted lines: [Line]) {
        self.lines = lines.sorted { $0.bucket < $1.bucket }
    }
}
