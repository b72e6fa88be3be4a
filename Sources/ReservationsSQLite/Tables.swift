#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import GRDB
import Reservations

/// The tables as one transaction sees them. Lives as long as the transaction, on the thread of its connection.
///
/// Its functions are the rules of the contract, in the order of the contract; all of them run inside one transaction.
struct Tables {
    let db: Database
    /// Milliseconds since 1970: one time for all that a transaction does.
    let now: Int64

    // MARK: Statements

    /// Returns how many rows were changed.
    @discardableResult
    func run(_ sql: String, _ arguments: StatementArguments) throws -> Int {
        try db.cachedStatement(sql: sql).execute(arguments: arguments)
        return db.changesCount
    }

    func all<Element>(
        _ sql: String, _ arguments: StatementArguments, _ element: (Row) throws -> Element
    ) throws -> [Element] {
        let rows = try Row.fetchCursor(db.cachedStatement(sql: sql), arguments: arguments)
        var elements: [Element] = []
        while let row = try rows.next() { elements.append(try element(row)) }
        return elements
    }

    func first<Element>(
        _ sql: String, _ arguments: StatementArguments, _ element: (Row) throws -> Element
    ) throws -> Element? {
        try all(sql, arguments, element).first
    }

    // MARK: Buckets

    struct BucketRow {
        let id: Int64
        let state: BucketState
    }

    func row(of bucket: Bucket) throws -> BucketRow? {
        try first(SQL.bucketByName, [bucket.item, bucket.label, bucket.night, bucket.kind.rawValue]) { row in
            BucketRow(id: try row.decode(atIndex: 9), state: try BucketState(row))
        }
    }

    // MARK: Reservations

    /// A reservation as it is written, with the ids of its buckets.
    struct Stored {
        let reservation: Reservation
        let ids: [(id: Int64, line: Line)]
    }

    func stored(_ id: ReservationID) throws -> Stored? {
        let head = try first(SQL.reservation, [id.uuid]) { row in
            Reservation(
                id: id, holder: try row.decode(atIndex: 0), lines: [],
                state: try row.decode(Reservation.State.self, 1), expiresAt: try row.date(2),
                hardDeadline: try row.date(3), createdAt: try row.date(4), resolvedAt: try row.optionalDate(5))
        }
        guard let head else { return nil }
        let ids = try all(SQL.lines, [id.uuid]) { row in
            (
                id: try row.decode(Int64.self, atIndex: 5),
                line: Line(try Bucket(row, at: 0), quantity: try row.decode(atIndex: 4))
            )
        }.sorted { $0.line.bucket < $1.line.bucket }
        return Stored(reservation: head.with(lines: ids.map(\.line)), ids: ids)
    }

    /// As it counts now.
    func reservation(_ id: ReservationID, holder: String?) throws -> Reservation? {
        guard let found = try stored(id)?.reservation, found.belongs(to: holder) else { return nil }
        return found.seen(at: date)
    }

    var date: Date { Date(milliseconds: now) }

    func insert(_ reservation: Reservation, lines: [(id: Int64, line: Line)], as lineState: LineState) throws {
        try run(
            SQL.insertReservation,
            [
                reservation.id.uuid, reservation.holder, reservation.state.rawValue, reservation.expiresAt.milliseconds,
                reservation.hardDeadline.milliseconds, reservation.createdAt.milliseconds,
                reservation.resolvedAt?.milliseconds,
            ])
        for (id, line) in lines {
            try run(
                SQL.insertLine,
                [reservation.id.uuid, id, line.quantity, line.bucket.kind == .seat, lineState.rawValue])
        }
    }

    enum LineState: String {
        case held, sold, ended
    }

    // MARK: Ledger

    /// What a transaction does to one bucket: one entry.
    struct Move {
        let bucket: Int64
        let kind: LedgerEntry.Kind
        var capacity = 0
        var held = 0
        var sold = 0
    }

    func enter(_ move: Move, of reservation: ReservationID?, actor: String, fence: Int64 = 0) throws {
        try run(
            SQL.enter,
            [
                move.bucket, reservation?.uuid, move.kind.phase, move.kind.rawValue, move.capacity, move.held,
                move.sold,
                fence, actor, now,
            ])
    }

    // MARK: Idempotency

    enum Replay {
        case isNew
        /// It is in a line.
        case waiting
        case reused
        case reservation(ReservationID)
        case bucket(Int64)
    }

    func replay(of request: RequestKey?) throws -> Replay {
        guard let request else { return .isNew }
        return try first(SQL.request, [request.caller, request.key]) { row -> Replay in
            let known = RequestKey(
                caller: request.caller, key: request.key, operation: try row.decode(atIndex: 0),
                fingerprint: try row.decode(atIndex: 1))
            guard known.isSameRequest(as: request) else { return .reused }
            if try row.decode(atIndex: 2) == "queued" { return .waiting }
            if let id = try row.decode(UUID?.self, atIndex: 3) { return .reservation(ReservationID(id)) }
            // What was refused in a line, or left it, had no effect.
            return try row.decode(Int64?.self, atIndex: 4).map(Replay.bucket) ?? .isNew
        } ?? .isNew
    }

    func remember(_ request: RequestKey?, reservation: ReservationID? = nil, bucket: Int64? = nil) throws {
        guard let request else { return }
        try run(
            SQL.insertRequest,
            [
                request.caller, request.key, request.operation, request.fingerprint, reservation?.uuid, bucket, now,
            ])
    }

    static var lost: StoreError { StoreError(.failed, "A stored answer names something that is not there.") }
}

extension Date {
    init(milliseconds: Int64) {
        self.init(timeIntervalSince1970: Double(milliseconds) / 1_000)
    }

    /// Those that the store has made are whole. What a clock, or a hand in the file, has put beyond some 3,000 years is
    /// brought back to there, so that sums are no overflow.
    var milliseconds: Int64 {
        let exact = (timeIntervalSince1970 * 1_000).rounded(.toNearestOrEven)
        let longest = Double(Duration.longestMilliseconds)
        return Int64(exact.isNaN ? 0 : min(max(exact, -longest), longest))
    }
}

extension Reservation {
    fileprivate func with(lines: [Line]) -> Reservation {
        Reservation(
            id: id, holder: holder, lines: lines, state: state, expiresAt: expiresAt, hardDeadline: hardDeadline,
            createdAt: createdAt, resolvedAt: resolvedAt)
    }
}

extension Row {
    func date(_ index: Int) throws -> Date { Date(milliseconds: try decode(atIndex: index)) }

    func optionalDate(_ index: Int) throws -> Date? {
        try decode(Int64?.self, atIndex: index).map(Date.init(milliseconds:))
    }

    /// One of the words of an enumeration. The schema allows no others.
    func decode<Word: RawRepresentable<String>>(_ type: Word.Type, _ index: Int) throws -> Word {
        guard let word = Word(rawValue: try decode(atIndex: index)) else {
            throw StoreError(.misconfigured, "The database was written by a newer version of this library: update it.")
        }
        return word
    }
}

extension Bucket {
    /// From four columns: item, kind, label, night.
    init(_ row: Row, at index: Int) throws {
        let item = try row.decode(String.self, atIndex: index)
        switch try row.decode(Bucket.Kind.self, index + 1) {
        case .counted: self = .counted(item)
        case .seat: self = .seat(item, try row.decode(atIndex: index + 2))
        case .night: self = .night(item, try row.decode(atIndex: index + 3))
        }
    }
}

extension BucketState {
    /// From the columns of ``SQL/bucketColumns``.
    init(_ row: Row) throws {
        self.init(
            bucket: try Bucket(row, at: 0), capacity: try row.decode(atIndex: 4), held: try row.decode(atIndex: 5),
            sold: try row.decode(atIndex: 6), version: try row.decode(atIndex: 7), fence: try row.decode(atIndex: 8))
    }
}
