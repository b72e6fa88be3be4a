/// The statements of the store. Each is prepared once for a connection; values are always bound.
package enum SQL {
    // MARK: Buckets

    static let bucketColumns = "item, kind, label, night, capacity, held, sold, version, fence"
    static let bucketByName = """
        SELECT \(bucketColumns), id FROM bucket WHERE item = ? AND label = ? AND night = ? AND kind = ?
        """
    static let insertBucket = "INSERT INTO bucket (item, kind, label, night, capacity) VALUES (?, ?, ?, ?, 0)"
    static let addCapacity = "UPDATE bucket SET capacity = capacity + ?, version = version + 1 WHERE id = ?"
    static let moveBucket = "UPDATE bucket SET held = held + ?, sold = sold + ?, version = version + 1 WHERE id = ?"
    static let raiseFence = """
        UPDATE bucket SET fence = ? WHERE item = ? AND label = ? AND night = ? AND kind = ? AND fence <= ?
        """
    static let bucketsOfItem = "SELECT \(bucketColumns) FROM bucket WHERE item = ? ORDER BY label, night LIMIT ?"
    static let bucketsOfItemAfter = """
        SELECT \(bucketColumns) FROM bucket WHERE item = ? AND (label, night) > (?, ?) ORDER BY label, night LIMIT ?
        """
    static let bucketsAfter = """
        SELECT \(bucketColumns) FROM bucket
        WHERE item = ? AND (label, night) > (?, ?) AND kind = ? ORDER BY label, night LIMIT ?
        """
    static let bucketsBefore = """
        SELECT \(bucketColumns) FROM bucket
        WHERE item = ? AND (label, night) < (?, ?) AND kind = ? ORDER BY label DESC, night DESC LIMIT ?
        """

    // MARK: Reservations

    static let reservation = """
        SELECT holder, state, expires_at, hard_deadline, created_at, resolved_at FROM reservation WHERE id = ?
        """
    static let lines = """
        SELECT b.item, b.kind, b.label, b.night, l.quantity, b.id
        FROM reservation_line l JOIN bucket b ON b.id = l.bucket_id WHERE l.reservation_id = ?
        """
    static let insertReservation = """
        INSERT INTO reservation (id, holder, state, expires_at, hard_deadline, created_at, resolved_at)
        VALUES (?, ?, ?, ?, ?, ?, ?)
        """
    static let insertLine = """
        INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive, state) VALUES (?, ?, ?, ?, ?)
        """
    static let endReservation = "UPDATE reservation SET state = ?, resolved_at = ? WHERE id = ? AND state = ?"
    static let endLines = "UPDATE reservation_line SET state = ? WHERE reservation_id = ?"
    static let extend = "UPDATE reservation SET expires_at = ? WHERE id = ? AND state = 'held'"
    static let liveHolds = "SELECT count(*) FROM reservation WHERE holder = ? AND state = 'held' AND expires_at > ?"
    static let due = """
        SELECT id, expires_at FROM reservation WHERE state = 'held' AND expires_at <= ? ORDER BY expires_at, id LIMIT ?
        """
    static let dueOfBucket = """
        SELECT r.id, r.expires_at FROM reservation_line l CROSS JOIN reservation r ON r.id = l.reservation_id
        WHERE l.bucket_id = ? AND l.state = 'held' AND r.state = 'held' AND r.expires_at <= ?
        ORDER BY r.expires_at, r.id LIMIT ?
        """
    /// The holder's, others', and when the first of others' ends. Holds whose time is up are nobody's.
    static let heldBy = """
        SELECT coalesce(sum(l.quantity) FILTER (WHERE r.holder = ?1), 0),
            coalesce(sum(l.quantity) FILTER (WHERE r.holder <> ?1), 0),
            min(r.expires_at) FILTER (WHERE r.holder <> ?1)
        FROM reservation_line l CROSS JOIN reservation r ON r.id = l.reservation_id
        WHERE l.bucket_id = ?2 AND l.state = 'held' AND r.state = 'held' AND r.expires_at > ?3
        """

    // MARK: Ledger and requests

    static let enter = """
        INSERT INTO ledger
            (bucket_id, reservation_id, phase, kind, capacity_delta, held_delta, sold_delta, fence, actor, at)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
        """
    private static let ledgerColumns = """
        l.sequence, b.item, b.kind, b.label, b.night, l.reservation_id, l.kind, l.capacity_delta, l.held_delta,
            l.sold_delta, l.fence, l.actor, l.at
        """
    static let ledger = """
        SELECT \(ledgerColumns) FROM ledger l CROSS JOIN bucket b ON b.id = l.bucket_id
        WHERE l.sequence > ? ORDER BY l.sequence LIMIT ?
        """
    static let ledgerOfItem = """
        SELECT \(ledgerColumns) FROM bucket b CROSS JOIN ledger l ON l.bucket_id = b.id
        WHERE b.item = ? AND l.sequence > ? ORDER BY l.sequence LIMIT ?
        """
    static let request = """
        SELECT operation, fingerprint, state, reservation_id, bucket_id FROM request WHERE caller = ? AND key = ?
        """
    static let bucketByID = "SELECT \(bucketColumns) FROM bucket WHERE id = ?"
    static let insertRequest = """
        INSERT INTO request (caller, key, operation, fingerprint, state, reservation_id, bucket_id, created_at)
        VALUES (?, ?, ?, ?, 'done', ?, ?, ?)
        ON CONFLICT (caller, key) DO UPDATE SET
            state = 'done', reservation_id = excluded.reservation_id, bucket_id = excluded.bucket_id, claim = NULL,
            answer = NULL, created_at = excluded.created_at
        """
    static let forget = """
        DELETE FROM request WHERE (caller, key) IN (
            SELECT caller, key FROM request WHERE created_at < ? AND state <> 'queued' ORDER BY created_at LIMIT ?
        )
        """

    /// All that a request of a buyer, or the sweeper, may send: none of these may read a whole table. Without
    /// ``insertBucket``, whose plan has a scan for foreign keys that the program jumps over unless one is broken.
    package static let hotPath = [
        bucketByName, addCapacity, moveBucket, raiseFence, bucketsOfItem, bucketsOfItemAfter,
        bucketsAfter,
        bucketsBefore, reservation, lines, insertReservation, insertLine, endReservation, endLines, extend, liveHolds,
        due,
        dueOfBucket, heldBy, enter, ledger, ledgerOfItem, request, bucketByID, insertRequest, forget,
    ]
}
