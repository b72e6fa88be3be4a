import RedisLocks

/// The unit of contention: a counted stock, one seat, or one kind of room in one night.
///
/// They differ in what a person calls them, not in how they are reserved: each has a capacity, and of that some is held and
/// some is sold. A cart of four seats and a stay of three nights are four and three lines, under one rule.
public struct Bucket: Hashable, Sendable, Codable {
    /// What a bucket stands for.
    public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        /// So many pieces that are all alike.
        case counted
        /// One seat, whose capacity is 1.
        case seat
        /// So many rooms of one kind, in one night.
        case night
    }

    /// The article, event or kind of room: 1 to 128 bytes of UTF-8.
    public let item: String
    /// What the bucket stands for.
    public let kind: Kind
    /// The seat's label; empty for anything else.
    public let label: String
    /// The night as an ISO 8601 date, that of the evening; empty for anything else.
    public let night: String

    private init(item: String, kind: Kind, label: String = "", night: String = "") {
        self.item = item
        self.kind = kind
        self.label = label
        self.night = night
    }

    /// A stock of pieces that are all alike.
    public static func counted(_ item: String) -> Bucket {
        Bucket(item: item, kind: .counted)
    }

    /// One seat of an event.
    public static func seat(_ item: String, _ label: String) -> Bucket {
        Bucket(item: item, kind: .seat, label: label)
    }

    /// The rooms of one kind in one night.
    ///
    /// - Parameters:
    ///   - item: the kind of room.
    ///   - night: an ISO 8601 date, such as `2026-12-24`, that of the evening.
    public static func night(_ item: String, _ night: String) -> Bucket {
        Bucket(item: item, kind: .night, night: night)
    }

    /// The longest item and label, in bytes of UTF-8.
    public static let maximumLength = 128

    /// The greatest capacity: 1 for a seat, else 1,000,000,000.
    public var maximumCapacity: Int { kind == .seat ? 1 : 1_000_000_000 }

    /// Why this cannot be a bucket; `nil` when it can.
    package var flaw: Wording? {
        let name = Wording("The item", korean: "상품 이름")
        if let flaw = Self.flaw(of: item, called: name) { return flaw }
        switch kind {
        case .counted: return nil
        case .seat: return Self.flaw(of: label, called: Wording("The seat's label", korean: "좌석 번호"))
        case .night:
            guard CalendarDate(night) == nil else { return nil }
            return Wording(
                "\"\(night.prefix(32))\" is no date like 2026-12-24.",
                korean: "'\(night.prefix(32))' 날짜를 2026-12-24 같은 형식으로 적어 주세요.")
        }
    }

    private static func flaw(of text: String, called name: Wording) -> Wording? {
        if text.isEmpty { return name.appending(" is empty.", korean: " 항목이 비어 있습니다.") }
        if text.utf8.count > maximumLength {
            return name.appending(
                " has more than \(maximumLength) bytes.", korean: " 항목이 \(maximumLength)바이트보다 깁니다.")
        }
        // All of C0, DEL, and C1; and what a lock's name cannot hold.
        let isBad = { (scalar: Unicode.Scalar) in
            scalar.value < 0x20 || (0x7F...0x9F).contains(scalar.value) || scalar == "{" || scalar == "}"
        }
        if text.unicodeScalars.contains(where: isBad) {
            return name.appending(
                " has a control character or a brace.", korean: " 항목에 제어 문자나 중괄호를 쓸 수 없습니다.")
        }
        // Nor can a lock's name end so, or be the key of the lock servers' restart guard. By bytes: to `String` a scalar
        // that joins the colon would hide it.
        if text.utf8.suffix(lockSuffix.utf8.count).elementsEqual(lockSuffix.utf8)
            || text.hasSameBytes(as: LockName.bootKey)
        {
            return name.appending(
                " \"\(text)\" is kept for fencing counters of locks.", korean: " '\(text)' 값은 쓸 수 없습니다.")
        }
        return nil
    }

    private static let lockSuffix = ":fence"
}

extension Bucket: CustomStringConvertible {
    /// `shirt`, `concert seat A12`, `double-room night 2026-12-24`: for logs and sentences.
    public var description: String {
        switch kind {
        case .counted: item
        case .seat: "\(item) seat \(label)"
        case .night: "\(item) night \(night)"
        }
    }
}

extension Bucket {
    /// By bytes, as databases compare: `String` would merge what they keep apart, such as the two spellings of "é".
    public static func == (left: Bucket, right: Bucket) -> Bool {
        left.kind == right.kind && left.item.hasSameBytes(as: right.item) && left.label.hasSameBytes(as: right.label)
            && left.night.hasSameBytes(as: right.night)
    }

    /// By bytes.
    public func hash(into hasher: inout Hasher) {
        hasher.combine(kind)
        for text in [item, label, night] { hasher.combine(bytesOf: text) }
    }
}

extension Bucket: Comparable {
    /// The order in which lines are written. By bytes, as databases compare with the `C` collation.
    public static func < (left: Bucket, right: Bucket) -> Bool {
        for (a, b) in [(left.item, right.item), (left.label, right.label), (left.night, right.night)]
        where !a.hasSameBytes(as: b) {
            return a.utf8.lexicographicallyPrecedes(b.utf8)
        }
        return left.kind.rawValue < right.kind.rawValue
    }
}

/// A day of the Gregorian calendar.
package struct CalendarDate: Hashable, Sendable {
    package let year: Int
    package let month: Int
    package let day: Int

    /// Reads `yyyy-mm-dd`, and nothing else.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        let isDigit = { (byte: UInt8) in (0x30...0x39).contains(byte) }
        guard bytes.count == 10, bytes[4] == 0x2D, bytes[7] == 0x2D,
            (bytes[0..<4] + bytes[5..<7] + bytes[8..<10]).allSatisfy(isDigit)
        else { return nil }
        let number = { (range: Range<Int>) in bytes[range].reduce(0) { $0 * 10 + Int($1 - 0x30) } }
        (year, month, day) = (number(0..<4), number(5..<7), number(8..<10))
        guard year >= 1, (1...12).contains(month), day >= 1, day <= Self.days(in: month, of: year) else { return nil }
    }

    private init(year: Int, month: Int, day: Int) {
        (self.year, self.month, self.day) = (year, month, day)
    }

    package var next: CalendarDate {
        if day < Self.days(in: month, of: year) { return CalendarDate(year: year, month: month, day: day + 1) }
        if month < 12 { return CalendarDate(year: year, month: month + 1, day: 1) }
        return CalendarDate(year: year + 1, month: 1, day: 1)
    }

    package var text: String {
        let padded = { (number: Int, width: Int) in
            String(repeating: "0", count: max(0, width - String(number).count)) + String(number)
        }
        return "\(padded(year, 4))-\(padded(month, 2))-\(padded(day, 2))"
    }

    private static func days(in month: Int, of year: Int) -> Int {
        switch month {
        case 4, 6, 9, 11: 30
        case 2: year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) ? 29 : 28
        default: 31
        }
    }
}

/// What a bucket holds at one moment.
public struct BucketState: Hashable, Sendable, Codable {
    /// Which bucket.
    public let bucket: Bucket
    /// How many there are.
    public let capacity: Int
    /// How many are held by reservations that may still be confirmed, or whose time is up and nobody has written that down
    /// yet: the sweeper will, or the next claim that finds too little.
    public let held: Int
    /// How many are sold.
    public let sold: Int
    /// Rises with every change.
    public let version: Int64
    /// The greatest fencing token that has claimed the bucket; 0 for none.
    public let fence: Int64

    /// How many may be reserved. Beyond what an `Int` can be, which no store allows, its nearest.
    public var available: Int { capacity.subtractingClamped(held).subtractingClamped(sold) }

    /// For stores.
    public init(bucket: Bucket, capacity: Int, held: Int, sold: Int, version: Int64, fence: Int64) {
        self.bucket = bucket
        self.capacity = capacity
        self.held = held
        self.sold = sold
        self.version = version
        self.fence = fence
    }
}
