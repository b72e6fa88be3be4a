import Reservations

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// What the schema's functions answer, as JSON.
enum Answers {
    struct BucketName: Decodable {
        let kind: Bucket.Kind
        let item: String
        let label: String
        let night: String

        var bucket: Bucket {
            switch kind {
            case .counted: .counted(item)
            case .seat: .seat(item, label)
            case .night: .night(item, night)
            }
        }
    }

    private struct ReservationAnswer: Decodable {
        struct Line: Decodable {
            let kind: Bucket.Kind
            let item: String
            let label: String
            let night: String
            let quantity: Int
        }

        let id: ReservationID
        let holder: String
        let state: Reservation.State
        let expiresAt: Int64
        let hardDeadline: Int64
        let createdAt: Int64
        let resolvedAt: Int64?
        let lines: [Line]?
    }

    private struct ShortageAnswer: Decodable {
        let bucket: BucketName
        let requested: Int
        /// Capacity, held, sold, version, fence.
        let counts: [Int64]?
        let own: Int
        let others: Int
        let next: Int64?
        let asOf: Int64
    }

    private struct FenceAnswer: Decodable {
        let bucket: BucketName
        let seen: Int64
    }

    static func reservation(_ json: String?) throws(StoreError) -> Reservation {
        let answer = try decode(ReservationAnswer.self, json)
        let lines = (answer.lines ?? []).map { line in
            let name = BucketName(kind: line.kind, item: line.item, label: line.label, night: line.night)
            return Line(name.bucket, quantity: line.quantity)
        }
        return Reservation(
            id: answer.id, holder: answer.holder, lines: Cart(trusted: lines).lines, state: answer.state,
            expiresAt: date(answer.expiresAt), hardDeadline: date(answer.hardDeadline),
            createdAt: date(answer.createdAt), resolvedAt: answer.resolvedAt.map(date))
    }

    static func shortages(_ json: String?) throws(StoreError) -> [Shortage] {
        var shortages: [Shortage] = []
        for answer in try decode([ShortageAnswer].self, json) {
            let bucket = answer.bucket.bucket
            shortages.append(
                Shortage(
                    bucket: bucket, requested: answer.requested,
                    state: try answer.counts.map { (counts) throws(StoreError) in try state(bucket, counts) },
                    heldByHolder: answer.own, heldByOthers: answer.others, nextReleaseAt: answer.next.map(date),
                    asOf: date(answer.asOf)))
        }
        return shortages
    }

    static func buckets(_ json: String?) throws(StoreError) -> [Bucket] {
        try decode([BucketName].self, json).map(\.bucket)
    }

    static func staleFence(_ json: String?) throws(StoreError) -> (Bucket, seen: Int64) {
        let answer = try decode(FenceAnswer.self, json)
        return (answer.bucket.bucket, answer.seen)
    }

    /// - Parameter counts: capacity, held, sold, version, fence.
    static func state(_ bucket: Bucket, _ counts: [Int64]) throws(StoreError) -> BucketState {
        guard counts.count == 5 else { throw .nonsense }
        return BucketState(
            bucket: bucket, capacity: Int(counts[0]), held: Int(counts[1]), sold: Int(counts[2]), version: counts[3],
            fence: counts[4])
    }

    /// - Parameter row: kind, item, label, night.
    static func bucket(_ row: ArraySlice<String?>) throws(StoreError) -> Bucket {
        let row = Array(row)
        guard row.count >= 4, let kind = row[0].flatMap(Bucket.Kind.init), let item = row[1], let label = row[2],
            let night = row[3]
        else { throw .nonsense }
        return BucketName(kind: kind, item: item, label: label, night: night).bucket
    }

    /// - Parameter row: kind, item, label, night, capacity, held, sold, version, fence.
    static func state(_ row: ArraySlice<String?>) throws(StoreError) -> BucketState {
        try state(bucket(row), row.dropFirst(4).compactMap { $0.flatMap { Int64($0) } })
    }

    /// The databases' microseconds. Always by this one division, so that equal times are equal dates.
    static func date(_ micros: Int64) -> Date {
        Date(timeIntervalSince1970: Double(micros) / 1_000_000)
    }

    static func date(_ micros: String?) throws(StoreError) -> Date {
        guard let number = micros.flatMap({ Int64($0) }) else { throw .nonsense }
        return date(number)
    }

    /// At most a century, forward or back: what is longer would be beyond the database's calendar.
    static func micros(_ duration: Duration) -> String {
        let (seconds, attoseconds) = min(max(duration, .zero - longest), longest).components
        return "\(seconds * 1_000_000 + attoseconds / 1_000_000_000_000)"
    }

    private static let longest = Duration.seconds(36_525 * 86_400)

    /// What goes after `LIMIT`: nothing is fewer than none.
    static func limit(_ count: Int) -> String { "\(max(count, 0))" }

    static func decode<Answer: Decodable>(_ type: Answer.Type, _ json: String?) throws(StoreError) -> Answer {
        guard let json, let answer = try? JSONDecoder().decode(type, from: Data(json.utf8)) else { throw .nonsense }
        return answer
    }
}
