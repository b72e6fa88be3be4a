#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

/// A claim as a store may write it down while it waits: its parts, each with its length before it. Every request is written and
/// read once in this form.
package struct StoredClaim: Sendable {
    package let text: String

    package init(_ claim: Claim) {
        var fields = ["1", "\(claim.id)", Self.text(of: claim.ttl), Self.text(of: claim.totalHold)]
        fields.append(claim.maximumLiveHolds.map { "\($0)" } ?? "")
        for line in claim.cart.lines {
            let bucket = line.bucket
            fields += [bucket.kind.rawValue, bucket.item, bucket.label, bucket.night, "\(line.quantity)"]
        }
        text = fields.reduce(into: "") { $0 += "\($1.utf8.count):\($1)" }
    }

    package init(text: String) {
        self.text = text
    }

    package func claim(of request: RequestKey) throws(StoreError) -> Claim {
        guard let fields = Self.fields(of: text), fields.count >= 10, fields.count % 5 == 0, fields[0] == "1",
            let id = ReservationID(fields[1]), let ttl = Self.duration(fields[2]),
            let totalHold = Self.duration(fields[3]), fields[4].isEmpty || Int(fields[4]) != nil
        else { throw Self.unreadable }
        var lines: [Line] = []
        for start in stride(from: 5, to: fields.count, by: 5) {
            guard let bucket = Self.bucket(fields[start..<(start + 4)]), let quantity = Int(fields[start + 4]) else {
                throw Self.unreadable
            }
            lines.append(Line(bucket, quantity: quantity))
        }
        return Claim(
            id: id, holder: request.caller, cart: Cart(trusted: lines), ttl: ttl, totalHold: totalHold,
            maximumLiveHolds: Int(fields[4]), request: request)
    }

    private static var unreadable: StoreError {
        StoreError(.failed, "What was written down of a request cannot be read.")
    }

    private static func fields(of text: String) -> [String]? {
        var fields: [String] = []
        var rest = text.utf8[...]
        while !rest.isEmpty {
            guard let colon = rest.firstIndex(of: UInt8(ascii: ":")),
                let count = Int(String(decoding: rest[..<colon], as: UTF8.self)), count >= 0
            else { return nil }
            let start = rest.index(after: colon)
            guard let end = rest.index(start, offsetBy: count, limitedBy: rest.endIndex) else { return nil }
            fields.append(String(decoding: rest[start..<end], as: UTF8.self))
            rest = rest[end...]
        }
        return fields
    }

    private static func bucket(_ fields: ArraySlice<String>) -> Bucket? {
        let fields = Array(fields)
        switch Bucket.Kind(rawValue: fields[0]) {
        case .counted: return .counted(fields[1])
        case .seat: return .seat(fields[1], fields[2])
        case .night: return .night(fields[1], fields[3])
        case nil: return nil
        }
    }

    private static func text(of duration: Duration) -> String {
        "\(duration.components.seconds).\(duration.components.attoseconds)"
    }

    private static func duration(_ text: String) -> Duration? {
        let parts = text.split(separator: ".").map { Int64($0) }
        guard parts.count == 2, let seconds = parts[0], let attoseconds = parts[1] else { return nil }
        return Duration(secondsComponent: seconds, attosecondsComponent: attoseconds)
    }
}

/// A refusal as a store may write it down, for those who ask what became of their request.
package struct StoredRefusal: Codable, Sendable {
    private struct Short: Codable {
        let bucket: Bucket
        let requested: Int
        let state: BucketState?
        let heldByHolder: Int
        let heldByOthers: Int
        let nextReleaseAt: Date?
        let asOf: Date
    }

    private var short: [Short]?
    private var holdLimit: Int?

    /// `nil` for what is no refusal of a claim under ``ClaimRule/atomic``.
    package init?(_ outcome: ClaimOutcome) {
        switch outcome {
        case .short(let shortages):
            short = shortages.map {
                Short(
                    bucket: $0.bucket, requested: $0.requested, state: $0.state, heldByHolder: $0.heldByHolder,
                    heldByOthers: $0.heldByOthers, nextReleaseAt: $0.nextReleaseAt, asOf: $0.asOf)
            }
        case .holdLimit(let current): holdLimit = current
        default: return nil
        }
    }

    package var outcome: ClaimOutcome {
        if let holdLimit { return .holdLimit(current: holdLimit) }
        return .short(
            (short ?? []).map {
                Shortage(
                    bucket: $0.bucket, requested: $0.requested, state: $0.state, heldByHolder: $0.heldByHolder,
                    heldByOthers: $0.heldByOthers, nextReleaseAt: $0.nextReleaseAt, asOf: $0.asOf)
            })
    }
}

extension StoreError {
    /// Reads what a store has written down.
    package static func decode<Form: Decodable>(_ form: Form.Type, _ text: String) throws(StoreError) -> Form {
        do {
            return try JSONDecoder().decode(form, from: Data(text.utf8))
        } catch {
            throw StoreError(.failed, "What was written down of a request cannot be read.")
        }
    }

    package static func encode(_ form: some Encodable) throws(StoreError) -> String {
        do {
            return String(decoding: try JSONEncoder().encode(form), as: UTF8.self)
        } catch {
            throw StoreError(.failed, "A request cannot be written down.")
        }
    }
}
