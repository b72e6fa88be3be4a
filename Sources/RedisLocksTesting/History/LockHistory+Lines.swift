extension LockHistory {
    /// Reads the lines that any number of recorders wrote, in the order of each recorder.
    ///
    /// A recorder writes an operation anew whenever it learns something: the last line of an operation counts, so what a
    /// process knew is there even if it was killed. Empty lines are passed over.
    ///
    /// - Throws: `HistoryError` with the number of the line.
    package init(lines: some Sequence<some StringProtocol>) throws(HistoryError) {
        self.init()
        var places: [Int: Int] = [:]
        for (number, text) in lines.enumerated() where !text.isEmpty {
            do throws(HistoryError) {
                try add(HistoryLine(parsing: String(text)), &places)
            } catch {
                throw HistoryError(error.reason, line: number + 1)
            }
        }
    }

    private mutating func add(_ line: HistoryLine, _ places: inout [Int: Int]) throws(HistoryError) {
        switch line.kind {
        case "operation":
            let operation = try LockOperation(line)
            guard let place = places[operation.id] else {
                places[operation.id] = operations.count
                operations.append(operation)
                return
            }
            guard operation.continues(operations[place]) else {
                throw HistoryError("the id \(operation.id) belongs to another operation as well")
            }
            operations[place] = operation
        case "store": storeEvents.append(try StoreEvent(line))
        default: throw HistoryError("“\(line.kind)” is no kind of record")
        }
    }

    /// A line for each record; ``init(lines:)`` reads them.
    package var lines: [String] { operations.map(\.line) + storeEvents.map(\.line) }
}

extension LockOperation {
    private static let fields: Set = [
        "id", "client", "names", "invoked", "returned", "outcome", "token", "deadline", "releaseInvoked",
        "releaseReturned", "ended", "leaseInvoked",
    ]

    package var line: String {
        var line = HistoryLine("operation")
        line.set("id", Int64(id))
        line.set("client", HistoryLine.encoded(client))
        line.set("names", names.map(HistoryLine.encoded).joined(separator: ","))
        line.set("invoked", invoked)
        line.set("returned", returned)
        switch outcome {
        case .granted(let token):
            line.set("outcome", "granted")
            line.set("token", token)
        case .refused: line.set("outcome", "refused")
        case .unknown: line.set("outcome", "unknown")
        }
        line.set("deadline", deadline)
        line.set("releaseInvoked", releaseInvoked)
        line.set("releaseReturned", releaseReturned)
        line.set("ended", ended)
        line.set("leaseInvoked", leaseInvoked)
        return line.text
    }

    init(_ line: HistoryLine) throws(HistoryError) {
        try line.allow(Self.fields)
        self.init(
            id: try line.identifier("id"), client: try line.string("client"), names: try line.strings("names"),
            invoked: try line.number("invoked"), returned: try line.numberIfPresent("returned"),
            outcome: try Outcome(line), deadline: try line.numberIfPresent("deadline"),
            releaseInvoked: try line.numberIfPresent("releaseInvoked"),
            releaseReturned: try line.numberIfPresent("releaseReturned"),
            ended: try line.numberIfPresent("ended"), leaseInvoked: try line.numberIfPresent("leaseInvoked"))
        if let problem { throw HistoryError(problem) }
    }

    /// What contradicts itself would make the checkers pass or fail for no reason.
    private var problem: String? {
        if names.isEmpty || names.contains("") { return "a name is empty" }
        if let returned, returned < invoked { return "it returned before it was invoked" }
        if let releaseReturned {
            guard let releaseInvoked else { return "a release returned that was never invoked" }
            if releaseReturned < releaseInvoked { return "the release returned before it was invoked" }
        }
        if token == nil {
            let isLease = deadline != nil || releaseInvoked != nil || ended != nil || leaseInvoked != nil
            return isLease ? "it was not granted, but has what only a lease has" : nil
        }
        guard let returned else { return "it was granted, but never returned" }
        if let releaseInvoked, releaseInvoked < returned { return "it was released before it was granted" }
        if let leaseInvoked, leaseInvoked > returned { return "its token was handed on before the lease was asked for" }
        return nil
    }

    /// Whether this can be what became of `earlier`.
    fileprivate func continues(_ earlier: LockOperation) -> Bool {
        client == earlier.client && names == earlier.names && invoked == earlier.invoked
            && (earlier.token == nil || token == earlier.token)
    }
}

extension LockOperation.Outcome {
    fileprivate init(_ line: HistoryLine) throws(HistoryError) {
        switch try line.text("outcome") {
        case "granted": self = .granted(token: try line.number("token"))
        case "refused": self = .refused
        case "unknown": self = .unknown
        case let other: throw HistoryError("“\(other)” is no outcome")
        }
        if case .granted = self { return }
        if try line.numberIfPresent("token") != nil { throw HistoryError("it was not granted, but has a token") }
    }
}

extension StoreEvent {
    private static let fields: Set = ["at", "key", "client", "operation", "token", "kind", "value", "accepted"]

    package var line: String {
        var line = HistoryLine("store")
        line.set("at", at)
        line.set("key", HistoryLine.encoded(key))
        line.set("client", HistoryLine.encoded(client))
        line.set("operation", Int64(operation))
        line.set("token", token)
        switch kind {
        case .claim: line.set("kind", "claim")
        case .read(let value):
            line.set("kind", "read")
            line.set("value", value)
        case .write(let value):
            line.set("kind", "write")
            line.set("value", value)
        }
        line.set("accepted", accepted ? "true" : "false")
        return line.text
    }

    init(_ line: HistoryLine) throws(HistoryError) {
        try line.allow(Self.fields)
        guard let accepted = Bool(try line.text("accepted")) else {
            throw HistoryError("accepted is neither true nor false")
        }
        self.init(
            at: try line.number("at"), key: try line.string("key"), client: try line.string("client"),
            operation: try line.identifier("operation"), token: try line.number("token"), kind: try Kind(line),
            accepted: accepted)
    }
}

extension StoreEvent.Kind {
    fileprivate init(_ line: HistoryLine) throws(HistoryError) {
        switch try line.text("kind") {
        case "claim": self = .claim
        case "read": self = .read(try line.number("value"))
        case "write": self = .write(try line.number("value"))
        case let other: throw HistoryError("“\(other)” is no kind of request")
        }
    }
}
