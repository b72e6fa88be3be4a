extension ReservationService {
    /// How many free seats are offered.
    static var maximumAlternatives: Int { 5 }
    /// How many neighbours of a seat are looked at, on either side.
    static var neighbourhood: Int { 100 }

    /// Free seats near those that are taken. A kindness: when the store cannot say, there are none.
    ///
    /// - Parameter asked: not to be offered, for they were asked for.
    func alternatives(to shortages: [Shortage], asked: [Bucket] = []) async -> [Bucket] {
        guard let wanted = shortages.first?.bucket, shortages.allSatisfy({ $0.bucket.kind == .seat }) else { return [] }
        let neighbours: [BucketState]
        do throws(StoreError) {
            neighbours = try await store.neighbours(of: wanted, limit: Self.neighbourhood)
        } catch {
            return []
        }
        let asked = Set(asked + shortages.map(\.bucket))
        let free = neighbours.filter { $0.available > 0 && !asked.contains($0.bucket) }.map(\.bucket)
        let place = SeatPlace(wanted.label)
        let byDistance = free.map { ($0, SeatPlace($0.label).distance(to: place)) }
            .sorted { ($0.1, $0.0) < ($1.1, $1.0) }
        return byDistance.prefix(Self.maximumAlternatives).map(\.0)
    }
}

/// A seat's label, taken apart: `Block 2-14` is number 14 in row `Block 2-`.
struct SeatPlace {
    let row: Substring
    let number: Int?

    init(_ label: String) {
        let digits = label.reversed().prefix(9).prefix { $0.isASCII && $0.isNumber }.count
        row = label.dropLast(digits)
        number = Int(label.suffix(digits))
    }

    /// Seats of the same row by their number; other rows are farther than any of them.
    func distance(to other: SeatPlace) -> Int {
        guard row == other.row, let number, let wanted = other.number else { return .max }
        return abs(number - wanted)
    }
}
