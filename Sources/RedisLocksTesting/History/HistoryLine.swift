/// A record as a line of plain text: `operation id=7 client=a names=x,y invoked=1 outcome=unknown .`
///
/// Fields in any order, each at most once; strings percent-encoded; a lone dot at the end, so that a line which its
/// writer did not finish is not taken for a shorter number.
struct HistoryLine {
    let kind: String
    private(set) var fields: [String: String] = [:]
    private var order: [String] = []

    init(_ kind: String) {
        self.kind = kind
    }

    mutating func set(_ name: String, _ text: String?) {
        guard let text else { return }
        if fields.updateValue(text, forKey: name) == nil { order.append(name) }
    }

    mutating func set(_ name: String, _ number: Int64?) {
        set(name, number.map(String.init))
    }

    var text: String {
        ([kind] + order.map { "\($0)=\(fields[$0] ?? "")" } + ["."]).joined(separator: " ")
    }

    init(parsing text: String) throws(HistoryError) {
        var words = text.split(separator: " ", omittingEmptySubsequences: true).map(String.init)
        guard words.popLast() == "." else {
            throw HistoryError("it does not end with a dot: was it written to its end?")
        }
        guard let kind = words.first else { throw HistoryError("it is empty") }
        self.init(kind)
        for word in words.dropFirst() {
            guard let equals = word.firstIndex(of: "=") else { throw HistoryError("“\(word)” is no field") }
            let name = String(word[..<equals])
            guard fields[name] == nil else { throw HistoryError("\(name) stands in it twice") }
            set(name, String(word[word.index(after: equals)...]))
        }
    }

    // MARK: Reading

    func text(_ name: String) throws(HistoryError) -> String {
        guard let text = fields[name] else { throw HistoryError("\(name) is missing") }
        return text
    }

    func string(_ name: String) throws(HistoryError) -> String {
        try Self.decoded(text(name))
    }

    func strings(_ name: String) throws(HistoryError) -> [String] {
        var strings: [String] = []
        for part in try text(name).split(separator: ",", omittingEmptySubsequences: false) {
            strings.append(try Self.decoded(String(part)))
        }
        return strings
    }

    func numberIfPresent(_ name: String) throws(HistoryError) -> Int64? {
        guard let text = fields[name] else { return nil }
        guard let number = Int64(text) else { throw HistoryError("\(name) is no number: “\(text)”") }
        return number
    }

    func number(_ name: String) throws(HistoryError) -> Int64 {
        guard let number = try numberIfPresent(name) else { throw HistoryError("\(name) is missing") }
        return number
    }

    func identifier(_ name: String) throws(HistoryError) -> Int {
        guard let id = Int(exactly: try number(name)) else { throw HistoryError("\(name) is too large") }
        return id
    }

    /// A misspelt field would otherwise be a fact that no checker sees.
    func allow(_ names: Set<String>) throws(HistoryError) {
        for name in order where !names.contains(name) { throw HistoryError("\(kind) has no field \(name)") }
    }

    // MARK: Percent-encoding

    private static let plain = Set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:/@".utf8)
    private static let digits = Array("0123456789ABCDEF".utf8)

    static func encoded(_ string: String) -> String {
        var bytes: [UInt8] = []
        for byte in string.utf8 {
            if plain.contains(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func decoded(_ text: String) throws(HistoryError) -> String {
        var bytes: [UInt8] = []
        var rest = Array(text.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            let pair = String(decoding: rest.prefix(2), as: UTF8.self)
            guard rest.count >= 2, pair.allSatisfy(\.isHexDigit), let value = UInt8(pair, radix: 16) else {
                throw HistoryError("“\(text)” is not percent-encoded")
            }
            bytes.append(value)
            rest = rest.dropFirst(2)
        }
        guard let string = String(validating: bytes, as: UTF8.self) else {
            throw HistoryError("“\(text)” is no UTF-8")
        }
        return string
    }
}

/// Why a line of a history cannot be read.
package struct HistoryError: Error, Sendable, Equatable, CustomStringConvertible {
    /// Which line, from 1.
    package var line: Int?
    package let reason: String

    init(_ reason: String, line: Int? = nil) {
        self.reason = reason
        self.line = line
    }

    package var description: String {
        line.map { "Line \($0) of the history is malformed: \(reason)." } ?? "Malformed: \(reason)."
    }
}
