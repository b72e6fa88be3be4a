#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif
import GRDB
import Reservations

extension Tables {
    func states(of buckets: [Bucket]) throws -> [BucketState] {
        try buckets.sorted().compactMap { try row(of: $0)?.state }
    }

    func neighbours(of bucket: Bucket, limit: Int) throws -> [BucketState] {
        let arguments: StatementArguments = [
            bucket.item, bucket.label, bucket.night, bucket.kind.rawValue, max(limit, 0),
        ]
        return try all(SQL.bucketsBefore, arguments, BucketState.init).reversed()
            + all(SQL.bucketsAfter, arguments, BucketState.init)
    }

    func states(ofItem item: String, after last: Bucket?, limit: Int) throws -> [BucketState] {
        if let last, last.item.hasSameBytes(as: item) {
            return try all(SQL.bucketsOfItemAfter, [item, last.label, last.night, max(limit, 0)], BucketState.init)
        }
        // One of another item is before all of these or after them.
        if let last, !(last < .counted(item)) { return [] }
        return try all(SQL.bucketsOfItem, [item, max(limit, 0)], BucketState.init)
    }

    func ledger(ofItem item: String?, after sequence: Int64, limit: Int) throws -> [LedgerEntry] {
        guard let item else { return try all(SQL.ledger, [sequence, max(limit, 0)], LedgerEntry.init) }
        return try all(SQL.ledgerOfItem, [item, sequence, max(limit, 0)], LedgerEntry.init)
    }
}

extension LedgerEntry {
    /// From the columns of ``SQL/ledger``.
    fileprivate init(_ row: Row) throws {
        self.init(
            sequence: try row.decode(atIndex: 0), bucket: try Bucket(row, at: 1),
            reservation: try row.decode(UUID?.self, atIndex: 5).map(ReservationID.init),
            kind: try row.decode(LedgerEntry.Kind.self, 6), capacityDelta: try row.decode(atIndex: 7),
            heldDelta: try row.decode(atIndex: 8), soldDelta: try row.decode(atIndex: 9),
            fence: try row.decode(atIndex: 10), actor: try row.decode(atIndex: 11), at: try row.date(12))
    }
}
