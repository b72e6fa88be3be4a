-- The guarantee check: compares everything with everything, and changes nothing.
-- A statement ends with a semicolon before an empty line; a function's body has no empty lines.

-- What a person calls a bucket.
CREATE FUNCTION bucket_text(b bucket) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE b.kind
        WHEN 'seat' THEN b.item || ' seat ' || b.label
        WHEN 'night' THEN b.item || ' night ' || b.night
        ELSE b.item
    END
$$;

-- STABLE, and so one snapshot for all of it. Here tables are meant to be read from end to end.
CREATE FUNCTION audit(p_grace interval, p_limit bigint) RETURNS TABLE (rule text, detail text)
    LANGUAGE sql STABLE SET enable_seqscan = on AS $$
    WITH by_line AS (
        SELECT l.bucket_id, coalesce(sum(l.quantity) FILTER (WHERE l.state = 'held'), 0) AS held,
            coalesce(sum(l.quantity) FILTER (WHERE l.state = 'sold'), 0) AS sold
        FROM reservation_line l WHERE l.state <> 'ended' GROUP BY l.bucket_id
    ), by_ledger AS (
        SELECT e.bucket_id, sum(e.capacity_delta) AS capacity, sum(e.held_delta) AS held, sum(e.sold_delta) AS sold
        FROM ledger e GROUP BY e.bucket_id
    ), compared AS (
        SELECT b AS bucket, b.id, b.capacity, b.held, b.sold,
            coalesce(l.held, 0) AS line_held, coalesce(l.sold, 0) AS line_sold,
            coalesce(e.capacity, 0) AS entered, coalesce(e.held, 0) AS entered_held, coalesce(e.sold, 0) AS entered_sold
        FROM bucket b LEFT JOIN by_line l ON l.bucket_id = b.id LEFT JOIN by_ledger e ON e.bucket_id = b.id
    )
    SELECT 'heldByLines', format('%s: held %s, lines say %s.', bucket_text(bucket), held, line_held)
    FROM compared WHERE held <> line_held
    UNION ALL
    SELECT 'soldByLines', format('%s: sold %s, lines say %s.', bucket_text(bucket), sold, line_sold)
    FROM compared WHERE sold <> line_sold
    UNION ALL
    SELECT 'ledger', format('%s: capacity %s, held %s, sold %s; the ledger says %s, %s, %s.',
        bucket_text(bucket), capacity, held, sold, entered, entered_held, entered_sold)
    FROM compared WHERE (capacity, held, sold) <> (entered, entered_held, entered_sold)
    UNION ALL
    SELECT 'oversell', format('%s: held %s and sold %s of %s.', bucket_text(bucket), held, sold, capacity)
    FROM compared WHERE held + sold > capacity OR held < 0 OR sold < 0
    UNION ALL
    SELECT 'lines', format('Reservation %s is %s and has a line that is %s.', r.id, r.state, l.state)
    FROM reservation r JOIN reservation_line l ON l.reservation_id = r.id
    WHERE l.state <> CASE r.state WHEN 'held' THEN 'held' WHEN 'confirmed' THEN 'sold' ELSE 'ended' END
    UNION ALL
    SELECT 'lines', format('Reservation %s has no lines.', r.id)
    FROM reservation r WHERE NOT EXISTS (SELECT FROM reservation_line l WHERE l.reservation_id = r.id)
    UNION ALL
    SELECT 'lines', format('Reservation %s has a line of a bucket that is not there.', l.reservation_id)
    FROM reservation_line l WHERE NOT EXISTS (SELECT FROM bucket b WHERE b.id = l.bucket_id)
    UNION ALL
    SELECT 'ledger', format('Entry %s is of a bucket that is not there.', e.sequence)
    FROM ledger e WHERE NOT EXISTS (SELECT FROM bucket b WHERE b.id = e.bucket_id)
    UNION ALL
    SELECT 'overdue', format('Reservation %s should have expired at %s.', r.id, r.expires_at)
    FROM reservation r WHERE r.state = 'held' AND r.expires_at < now() - p_grace
    UNION ALL
    SELECT 'request', 'A request is done and what it answers is not there.'
    FROM request q
    WHERE q.state = 'done' AND q.answer IS NULL
        AND NOT EXISTS (SELECT FROM reservation r WHERE r.id = q.reservation_id)
        AND NOT EXISTS (SELECT FROM bucket b WHERE b.id = q.bucket_id)
    LIMIT p_limit
$$;
