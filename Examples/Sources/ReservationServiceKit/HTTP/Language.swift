import Reservations

extension ReservationError.Language {
    /// The language that an `Accept-Language` field prefers among ours; English when it names none of them.
    package init(acceptLanguage field: String?) {
        var best = (language: Self.english, quality: 0.0)
        for range in (field ?? "").split(separator: ",") {
            let parts = range.split(separator: ";").map { $0.filter { !$0.isWhitespace } }
            guard let tag = parts.first?.lowercased() else { continue }
            let quality =
                parts.dropFirst().first { $0.hasPrefix("q=") }.flatMap { Double($0.dropFirst(2)) } ?? 1
            let primary = String(tag.prefix { $0 != "-" })
            guard let language = Self(rawValue: primary), quality > best.quality else { continue }
            best = (language, quality)
        }
        self = best.language
    }
}
