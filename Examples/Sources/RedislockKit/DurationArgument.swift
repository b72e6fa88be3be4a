/// A duration as people type it: a number and one of `ms`, `s`, `m`, `h`.
package enum DurationArgument {
    /// Why a text is not a duration.
    package struct Failure: Error, CustomStringConvertible {
        package let description: String
    }

    /// Longer ones are mistakes; nothing below can overflow within it.
    package static let maximumHours = 10_000

    private static let units: [(suffix: String, nanoseconds: Int64)] = [
        ("ms", 1_000_000), ("s", 1_000_000_000), ("m", 60_000_000_000), ("h", 3_600_000_000_000),
    ]

    /// Reads `500ms`, `0.5s`, `10s`, `2m`, `1h`; a fraction may have up to nine digits.
    package static func parse(_ text: String) throws(Failure) -> Duration {
        let number = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        let suffix = text[number.endIndex...]
        guard !number.isEmpty, let unit = units.first(where: { $0.suffix == suffix }) else {
            throw Failure(description: "a duration is a number and a unit: 500ms, 0.5s, 10s, 2m or 1h")
        }
        let parts = number.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count <= 2, parts.allSatisfy({ !$0.isEmpty }), let whole = Int64(parts[0]) else {
            throw Failure(description: "\(number) is not a number")
        }
        let limit = Int64(maximumHours) * 3_600_000_000_000
        guard whole <= limit / unit.nanoseconds else {
            throw Failure(description: "durations end at \(maximumHours)h")
        }
        var nanoseconds = whole * unit.nanoseconds
        if parts.count == 2 {
            guard parts[1].count <= 9, let fraction = Int64(parts[1]) else {
                throw Failure(description: "a fraction has at most nine digits")
            }
            var scale: Int64 = 1
            for _ in parts[1] { scale *= 10 }
            // The fraction is below 10^9 and the unit below 10^13: their product would not fit when multiplied first.
            nanoseconds += fraction * (unit.nanoseconds / 1_000_000) / scale * 1_000_000
            nanoseconds += (fraction * (unit.nanoseconds / 1_000_000) % scale) * 1_000_000 / scale
        }
        return .nanoseconds(nanoseconds)
    }
}

extension Duration {
    /// Whole milliseconds, rounded down.
    package var wholeMilliseconds: Int64 {
        let (seconds, attoseconds) = components
        return seconds * 1000 + attoseconds / 1_000_000_000_000_000
    }

    /// `12 ms`, `1.25 s`, `3 min 20 s`: for people.
    package var forPeople: String {
        let milliseconds = wholeMilliseconds
        if milliseconds < 1000 { return "\(milliseconds) ms" }
        if milliseconds >= 120_000 {
            let seconds = milliseconds / 1000
            return seconds % 60 == 0 ? "\(seconds / 60) min" : "\(seconds / 60) min \(seconds % 60) s"
        }
        var digits = String(milliseconds % 1000 + 1000).dropFirst()
        while digits.last == "0" { digits.removeLast() }
        return digits.isEmpty ? "\(milliseconds / 1000) s" : "\(milliseconds / 1000).\(digits) s"
    }
}
