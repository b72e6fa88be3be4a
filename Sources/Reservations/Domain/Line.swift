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
    /// - Returns: nothing when `arrival` is no date; ``ReservationService`` refuses a reservation without lines. At most 1,001
    ///   lines, which is more than it ever takes.
    public static func stay(_ item: String, arrival: String, nights: Int, rooms: Int = 1) -> [Line] {
        guard var date = CalendarDate(arrival), nights > 0 else { return [] }
        var lines: [Line] = []
        for _ in 0..<min(nights, 1_001) {
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
        guard !lines.isEmpty else {
            throw .invalid(
                "/lines", "A reservation needs at least one line.", korean: "예약할 상품을 하나 이상 선택해 주세요.")
        }
        guard lines.count <= limits.linesPerRequest else {
            throw .invalid(
                "/lines", "\(lines.count) lines were asked for; at most \(limits.linesPerRequest) are allowed.",
                korean: "한 번에 \(limits.linesPerRequest)건까지 요청할 수 있는데 \(lines.count)건을 요청하셨습니다.")
        }
        var quantities: [Bucket: Int] = [:]
        for (index, line) in lines.enumerated() {
            if let flaw = line.bucket.flaw { throw .invalid("/lines/\(index)/bucket", flaw) }
            guard line.quantity >= 1, line.quantity <= limits.quantityPerLine else {
                throw .invalid(
                    "/lines/\(index)/quantity",
                    "The quantity is \(line.quantity); it must be from 1 to \(limits.quantityPerLine).",
                    korean: "수량은 1개부터 \(limits.quantityPerLine)개까지 가능한데 \(line.quantity)개를 요청하셨습니다.")
            }
            let total = quantities[line.bucket, default: 0] + line.quantity
            guard total <= limits.quantityPerLine else {
                throw .invalid(
                    "/lines/\(index)/quantity",
                    "All lines for \(line.bucket) together ask for \(total); at most \(limits.quantityPerLine) are allowed.",
                    korean: "'\(line.bucket)' 수량은 모두 합쳐 \(limits.quantityPerLine)개까지 가능한데 \(total)개를 요청하셨습니다.")
            }
            guard line.bucket.kind != .seat || total == 1 else {
                throw .invalid(
                    "/lines/\(index)", "\(line.bucket) was asked for twice; there is one of each seat.",
                    korean: "같은 좌석을 두 번 요청하셨습니다: \(line.bucket.label).")
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
