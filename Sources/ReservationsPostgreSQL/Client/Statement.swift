/// One SQL command and its parameters, which are always bound and never part of the text.
package struct Statement: Sendable {
    /// With `$1`, `$2`... for the parameters, and therefore no place for values.
    package let sql: String
    /// In text form; `nil` is `NULL`.
    package let parameters: [String?]
    /// Whether the connection keeps the text prepared for the next time.
    package let isPrepared: Bool

    package init(_ sql: String, _ parameters: [String?] = [], isPrepared: Bool = true) {
        self.sql = sql
        self.parameters = parameters
        self.isPrepared = isPrepared
    }

    /// C would take it for the end.
    var holdsZeroByte: Bool {
        parameters.contains { $0?.utf8.contains(0) == true }
    }

    /// A one-dimensional array, as PostgreSQL reads it.
    package static func array(_ elements: [String]) -> String {
        // By bytes: whole batches go through here.
        var bytes: [UInt8] = []
        bytes.reserveCapacity(elements.reduce(2) { $0 + $1.utf8.count + 3 })
        bytes.append(UInt8(ascii: "{"))
        for (index, element) in elements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(UInt8(ascii: "\""))
            for byte in element.utf8 {
                if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") { bytes.append(UInt8(ascii: "\\")) }
                bytes.append(byte)
            }
            bytes.append(UInt8(ascii: "\""))
        }
        bytes.append(UInt8(ascii: "}"))
        return String(decoding: bytes, as: UTF8.self)
    }

    package static func array(_ elements: [Int]) -> String {
        "{\(elements.map { "\($0)" }.joined(separator: ","))}"
    }

    /// With `NULL`s.
    package static func array(_ elements: [Int64?]) -> String {
        "{\(elements.map { $0.map { "\($0)" } ?? "NULL" }.joined(separator: ","))}"
    }
}

/// What one statement came to.
package struct Rows: Sendable, Hashable {
    package let columnCount: Int
    /// Row by row; `nil` is `NULL`.
    package let values: [String?]
    /// How many rows were changed or read, as far as the command tells.
    package let affected: Int
    /// Whether it ended a transaction by a rollback: also what a `COMMIT` comes to after an error.
    package var isRollback = false

    package init(columnCount: Int, values: [String?], affected: Int) {
        self.columnCount = columnCount
        self.values = values
        self.affected = affected
    }

    package var count: Int { columnCount == 0 ? 0 : values.count / columnCount }

    package subscript(row: Int) -> ArraySlice<String?> {
        values[(row * columnCount)..<((row + 1) * columnCount)]
    }

    /// `nil` for `NULL`, and where there is no such row or column.
    package subscript(row: Int, column: Int) -> String? {
        guard row >= 0, row < count, column >= 0, column < columnCount else { return nil }
        return values[row * columnCount + column]
    }
}
