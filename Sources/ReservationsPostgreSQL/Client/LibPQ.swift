import CLibPQ

/// libpq's functions with Swift's types. Nothing here blocks, and no pointer is kept.
enum LibPQ {
    // Macros of characters that Swift does not import.
    static let messageField = CInt(UInt8(ascii: "M"))
    private static let stateField = CInt(UInt8(ascii: "C"))
    private static let constraintField = CInt(UInt8(ascii: "n"))

    /// Begins to connect. The caller owns the connection and gives it to `PQfinish`.
    ///
    /// As one text and not as arrays: only there an empty value keeps the environment's from being taken instead.
    static func start(_ keywords: [(String, String)]) -> OpaquePointer? {
        PQconnectStart(keywords.map { "\($0.0)=\(quoted($0.1))" }.joined(separator: " "))
    }

    private static func quoted(_ value: String) -> String {
        var text = "'"
        for character in value.unicodeScalars {
            if character == "'" || character == "\\" { text.unicodeScalars.append("\\") }
            text.unicodeScalars.append(character)
        }
        return text + "'"
    }

    // MARK: Sending

    /// Both must be on the way at the same time only if `name` is not used before: names are never given twice.
    static func prepare(_ sql: String, as name: String, on connection: OpaquePointer) -> Bool {
        PQsendPrepare(connection, name, sql, 0, nil) == 1
    }

    static func send(_ statement: Statement, prepared name: String, on connection: OpaquePointer) -> Bool {
        withCStrings(statement.parameters) { values in
            PQsendQueryPrepared(connection, name, CInt(statement.parameters.count), values, nil, nil, 0) == 1
        }
    }

    /// Without a name: for a text that is used once.
    static func send(_ statement: Statement, on connection: OpaquePointer) -> Bool {
        withCStrings(statement.parameters) { values in
            PQsendQueryParams(connection, statement.sql, CInt(statement.parameters.count), nil, values, nil, nil, 0)
                == 1
        }
    }

    /// The texts one after the other in one allocation, each with its zero; the array of pointers ends with `NULL`.
    private static func withCStrings<Result>(
        _ texts: [String?], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> Result
    ) -> Result {
        var bytes: [CChar] = []
        bytes.reserveCapacity(texts.reduce(0) { $0 + ($1?.utf8.count ?? 0) + 1 })
        var offsets: [Int?] = []
        for text in texts {
            offsets.append(text == nil ? nil : bytes.count)
            guard let text else { continue }
            for byte in text.utf8 { bytes.append(CChar(bitPattern: byte)) }
            bytes.append(0)
        }
        return bytes.withUnsafeBufferPointer { bytes in
            let pointers =
                offsets.map { offset in offset.flatMap { index in bytes.baseAddress.map { $0 + index } } } + [nil]
            return pointers.withUnsafeBufferPointer { body($0.baseAddress) }
        }
    }

    // MARK: Receiving

    /// What the server said next; `nil` for what nobody here asked for. Only when `PQisBusy` says no.
    static func nextEvent(on connection: OpaquePointer) -> BatchProgress.Event? {
        guard let result = PQgetResult(connection) else { return .endOfStep }
        defer { PQclear(result) }
        let status = PQresultStatus(result)
        switch status {
        case PGRES_TUPLES_OK: return .rows(rows(of: result))
        case PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            var rows = Rows(columnCount: 0, values: [], affected: affected(result))
            rows.isRollback = text(PQcmdStatus(result)) == "ROLLBACK"
            return .rows(rows)
        case PGRES_PIPELINE_SYNC: return .synchronized
        case PGRES_PIPELINE_ABORTED: return .skipped
        case PGRES_FATAL_ERROR: return .failed(error(of: result))
        default: return nil
        }
    }

    private static func rows(of result: OpaquePointer) -> Rows {
        let (rowCount, columnCount) = (PQntuples(result), PQnfields(result))
        var values: [String?] = []
        values.reserveCapacity(Int(rowCount) * Int(columnCount))
        for row in 0..<rowCount {
            for column in 0..<columnCount {
                guard PQgetisnull(result, row, column) == 0, let start = PQgetvalue(result, row, column) else {
                    values.append(nil)
                    continue
                }
                let bytes = UnsafeRawBufferPointer(start: start, count: Int(PQgetlength(result, row, column)))
                values.append(String(decoding: bytes, as: UTF8.self))
            }
        }
        return Rows(columnCount: Int(columnCount), values: values, affected: affected(result))
    }

    private static func affected(_ result: OpaquePointer) -> Int {
        text(PQcmdTuples(result)).flatMap(Int.init) ?? 0
    }

    // MARK: Errors

    private static func error(of result: OpaquePointer) -> DatabaseError {
        guard let state = text(PQresultErrorField(result, stateField)) else {
            // Made by libpq itself: the connection broke.
            return DatabaseError(.connectionLost, "The connection to PostgreSQL was lost.")
        }
        return DatabaseError(
            sqlState: state, text: text(PQresultErrorField(result, messageField)) ?? "no reason given",
            constraint: text(PQresultErrorField(result, constraintField)))
    }

    /// libpq keeps no fields of a refused login, only its text, in which the SQLSTATE stands because of the verbosity:
    /// `... FATAL:  28P01: password authentication failed for user "shop"`.
    static func connectError(of connection: OpaquePointer, at location: String) -> DatabaseError {
        let text = text(PQerrorMessage(connection)) ?? ""
        if let (state, message) = serverError(in: text) {
            return DatabaseError(sqlState: state, text: message, constraint: nil)
        }
        let reason = text.split(separator: "\n").map { $0.trimmingPrefix { $0 == "\t" || $0 == " " } }.joined(
            separator: " ")
        return DatabaseError(.connectFailed, "Could not connect to PostgreSQL at \(location): \(reason)")
    }

    /// Of several hosts that refused, the last.
    static func serverError(in text: String) -> (state: String, message: String)? {
        for line in text.split(separator: "\n").reversed() {
            let bytes = Array(line.utf8)
            // ":  " SQLSTATE ": " is what libpq puts between a severity in any language and the server's words.
            for start in bytes.indices where bytes.count > start + 10 {
                guard bytes[start] == UInt8(ascii: ":"), bytes[start + 1] == UInt8(ascii: " "),
                    bytes[start + 2] == UInt8(ascii: " "), bytes[start + 8] == UInt8(ascii: ":"),
                    bytes[(start + 3)..<(start + 8)].allSatisfy(isStateCharacter)
                else { continue }
                let state = String(decoding: bytes[(start + 3)..<(start + 8)], as: UTF8.self)
                return (state, String(decoding: bytes[(start + 10)...], as: UTF8.self))
            }
        }
        return nil
    }

    private static func isStateCharacter(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte)
    }

    static func text(_ pointer: UnsafePointer<CChar>?) -> String? {
        pointer.map { String(cString: $0) }
    }
}
