/// The statements of the waiting line.
extension SQL {
    static let partitionCount = "SELECT count(*) FROM queue_partition"
    static let insertPartition = "INSERT INTO queue_partition (partition) VALUES (?)"
    static let firstWaiting = "SELECT min(number) FROM request WHERE state = 'queued' AND partition = ? AND number > ?"
    /// Up to which number all have had their turn or left.
    static let partitionsServed = """
        SELECT max(p.served, coalesce(
            (SELECT min(r.number) - 1 FROM request AS r
             WHERE r.state = 'queued' AND r.partition = p.partition AND r.number > p.served),
            p.accepted))
        FROM queue_partition AS p ORDER BY p.partition
        """
    static let lags = """
        SELECT p.partition, p.served, p.accepted,
            (SELECT r.created_at FROM request AS r
             WHERE r.state = 'queued' AND r.partition = p.partition ORDER BY r.number LIMIT 1)
        FROM queue_partition AS p ORDER BY p.partition
        """
    static let partition = "SELECT token, position, served, accepted FROM queue_partition WHERE partition = ?"
    static let takePartition = "UPDATE queue_partition SET token = ? WHERE partition = ? AND token <= ?"
    static let rewindPartition = "UPDATE queue_partition SET position = ? WHERE partition = ? AND token = ?"
    static let movePartition = """
        UPDATE queue_partition SET position = ?, served = max(served, ?) WHERE partition = ? AND token = ? AND position = ?
        """
    static let acceptInPartition = "UPDATE queue_partition SET accepted = ? WHERE partition = ?"
    static let queuedRequest = """
        SELECT partition, number, state, operation, fingerprint, claim, answer, reservation_id
        FROM request WHERE caller = ? AND key = ? AND number IS NOT NULL
        """
    static let waitingOfCaller = "SELECT count(*) FROM request WHERE caller = ? AND state = 'queued'"
    static let enqueue = """
        INSERT INTO request (caller, key, operation, fingerprint, state, partition, number, claim, created_at)
        VALUES (?, ?, ?, ?, 'queued', ?, ?, ?, ?)
        ON CONFLICT (caller, key) DO UPDATE SET
            state = 'queued', partition = excluded.partition, number = excluded.number, claim = excluded.claim,
            answer = NULL, reservation_id = NULL, bucket_id = NULL, created_at = excluded.created_at
        """
    static let endQueued = """
        UPDATE request SET state = ?, answer = ?, claim = NULL WHERE caller = ? AND key = ? AND state = 'queued'
        """
    static let endHeld = """
        UPDATE request SET state = 'done', reservation_id = ?, claim = NULL, answer = NULL WHERE caller = ? AND key = ?
        """
    static let waiting = """
        SELECT caller, key, number FROM request
        WHERE state = 'queued' AND partition = ? AND number > ? AND number <= ? AND created_at <= ?
        ORDER BY number LIMIT ?
        """
    static let overdueOn = """
        SELECT 1 FROM reservation_line AS l JOIN reservation AS r ON r.id = l.reservation_id
        WHERE l.bucket_id = ? AND l.state = 'held' AND r.state = 'held' AND r.expires_at <= ? LIMIT 1
        """
}
