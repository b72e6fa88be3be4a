import TestSupport

/// `--name value` pairs; a name may come several times, and one without a value is a flag.
struct Arguments {
    private var values: [String: [String]] = [:]

    init(_ words: some Sequence<String>) throws {
        var name: String?
        for word in words {
            if word.hasPrefix("--") {
                if let name { values[name, default: []].append("yes") }
                name = String(word.dropFirst(2))
            } else if let known = name {
                values[known, default: []].append(word)
                name = nil
            } else {
                throw TestSupportError("\(word) belongs to no option.")
            }
        }
        if let name { values[name, default: []].append("yes") }
    }

    func all(_ name: String) -> [String] { values[name] ?? [] }
    func isSet(_ name: String) -> Bool { values[name] != nil }

    func string(_ name: String) throws -> String {
        guard let value = values[name]?.last else { throw TestSupportError("--\(name) is missing.") }
        return value
    }

    func number(_ name: String, default fallback: Int? = nil) throws -> Int {
        if let fallback, values[name] == nil { return fallback }
        guard let number = Int(try string(name)) else { throw TestSupportError("--\(name) is no number.") }
        return number
    }

    func milliseconds(_ name: String, default fallback: Int? = nil) throws -> Duration {
        .milliseconds(try number(name, default: fallback))
    }
}
