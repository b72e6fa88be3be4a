-- What the other functions answer.
-- A statement ends with a semicolon before an empty line; a function's body has no empty lines.

-- A reservation as it stands at this time: a hold whose time is up is over, although nobody has written that down yet. By the
-- clock and not by the transaction's beginning, which may be long ago for whoever had to wait.
CREATE FUNCTION reservation_json(p_id uuid) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT json_build_object(
        'id', r.id, 'holder', r.holder, 'state', CASE WHEN o.is_over THEN 'expired' ELSE r.state END,
        'expiresAt', micros(r.expires_at), 'hardDeadline', micros(r.hard_deadline), 'createdAt', micros(r.created_at),
        'resolvedAt', micros(CASE WHEN o.is_over THEN r.expires_at ELSE r.resolved_at END),
        'lines', (
            SELECT json_agg(json_build_object(
                'kind', b.kind, 'item', b.item, 'label', b.label, 'night', b.night, 'quantity', l.quantity))
            FROM reservation_line l, LATERAL (SELECT * FROM bucket x WHERE x.id = l.bucket_id OFFSET 0) b
            WHERE l.reservation_id = r.id
        )
    )::text
    FROM reservation r,
        LATERAL (SELECT r.state = 'held' AND r.expires_at <= clock_timestamp() AS is_over OFFSET 0) o
    WHERE r.id = p_id
$$;

-- Whose live holds are on a bucket at a moment. For few by the bucket's lines; for many by what is the holder's, what is overdue, and the
-- order in which holds end, so that the many who find a hot item held out do not each read all of its holds.
CREATE FUNCTION holds_on(
    p_bucket bigint, p_held bigint, p_holder text, p_moment timestamptz,
    OUT own bigint, OUT others bigint, OUT next_release timestamptz
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF p_held = 0 THEN
        own := 0;
        others := 0;
    ELSIF p_held <= 256 THEN
        SELECT coalesce(sum(l.quantity) FILTER (WHERE r.holder = p_holder), 0),
            coalesce(sum(l.quantity) FILTER (WHERE r.holder <> p_holder), 0),
            min(r.expires_at) FILTER (WHERE r.holder <> p_holder)
        INTO own, others, next_release
        FROM reservation_line l,
            LATERAL (SELECT * FROM reservation x WHERE x.id = l.reservation_id OFFSET 0) r
        WHERE l.bucket_id = p_bucket AND l.state = 'held' AND r.state = 'held' AND r.expires_at > p_moment;
    ELSE
        SELECT coalesce(sum(l.quantity), 0) INTO own
        FROM reservation r,
            LATERAL (SELECT * FROM reservation_line x WHERE x.reservation_id = r.id AND x.bucket_id = p_bucket OFFSET 0) l
        WHERE r.holder = p_holder AND r.state = 'held' AND r.expires_at > p_moment;
        SELECT p_held - own - coalesce(sum(l.quantity), 0) INTO others
        FROM reservation r,
            LATERAL (SELECT * FROM reservation_line x WHERE x.reservation_id = r.id AND x.bucket_id = p_bucket OFFSET 0) l
        WHERE r.state = 'held' AND r.expires_at <= p_moment;
        others := greatest(others, 0);
        IF others > 0 THEN
            SELECT r.expires_at INTO next_release
            FROM reservation r
            WHERE r.state = 'held' AND r.expires_at > p_moment AND r.holder <> p_holder
                AND EXISTS (SELECT FROM reservation_line x WHERE x.reservation_id = r.id AND x.bucket_id = p_bucket)
            ORDER BY r.expires_at LIMIT 1;
        END IF;
    END IF;
END
$$;

-- The buckets of a cart that have less than it asks for, as JSON; NULL when there is none.
CREATE FUNCTION shortages(
    p_holder text, p_kinds text[], p_items text[], p_labels text[], p_nights text[], p_quantities bigint[],
    p_moment timestamptz
) RETURNS text LANGUAGE sql VOLATILE AS $$
    SELECT json_agg(json_build_object(
        'bucket', json_build_object('kind', l.kind, 'item', l.item, 'label', l.label, 'night', l.night),
        'requested', l.quantity,
        'counts', CASE WHEN b.id IS NOT NULL THEN json_build_array(b.capacity, b.held, b.sold, b.version, b.fence) END,
        'own', coalesce(h.own, 0), 'others', coalesce(h.others, 0), 'next', micros(h.next_release), 'asOf', micros(p_moment)
    ) ORDER BY l.position)::text
    FROM unnest(p_kinds, p_items, p_labels, p_nights, p_quantities) WITH ORDINALITY
        AS l(kind, item, label, night, quantity, position)
    LEFT JOIN LATERAL (
        SELECT * FROM bucket x
        WHERE x.item = l.item AND x.label = l.label AND x.night = l.night AND x.kind = l.kind OFFSET 0
    ) b ON true
    LEFT JOIN LATERAL holds_on(b.id, b.held, p_holder, p_moment) h ON b.id IS NOT NULL
    WHERE b.id IS NULL OR b.capacity - b.held - b.sold < l.quantity
$$;

-- What is known of a key: 'replayed' with what was answered, 'reused' or 'inProgress'; NULL when it is new, or had no effect in
-- a line.
CREATE FUNCTION known_request(
    p_caller text, p_key text, p_operation text, p_fingerprint text,
    OUT outcome text, OUT reservation_answer uuid, OUT bucket_answer bigint
) LANGUAGE sql STABLE AS $$
    SELECT
        CASE
            WHEN r.operation <> p_operation OR r.fingerprint <> p_fingerprint THEN 'reused'
            WHEN r.state = 'queued' THEN 'inProgress'
            WHEN num_nonnulls(r.reservation_id, r.bucket_id) > 0 THEN 'replayed'
        END,
        r.reservation_id, r.bucket_id
    FROM request r WHERE r.caller = p_caller AND r.key = p_key
$$;

-- Writes down a request before its effect, in the same transaction: 'new', or what is known of the key. Waits, as long as
-- lock_timeout says, for another transaction that has written it down and not ended.
CREATE FUNCTION begin_request(
    p_caller text, p_key text, p_operation text, p_fingerprint text, p_reservation uuid, p_bucket bigint,
    OUT outcome text, OUT reservation_answer uuid, OUT bucket_answer bigint
) LANGUAGE plpgsql AS $$
BEGIN
    -- Most repetitions come when all is done: they need no write.
    SELECT k.outcome, k.reservation_answer, k.bucket_answer INTO outcome, reservation_answer, bucket_answer
    FROM known_request(p_caller, p_key, p_operation, p_fingerprint) k;
    IF outcome IS NOT NULL THEN
        RETURN;
    END IF;
    BEGIN
        INSERT INTO request AS r (caller, key, operation, fingerprint, state, reservation_id, bucket_id)
        VALUES (p_caller, p_key, p_operation, p_fingerprint, 'done', p_reservation, p_bucket)
        ON CONFLICT (caller, key) DO UPDATE
        SET state = 'done', reservation_id = excluded.reservation_id, bucket_id = excluded.bucket_id, claim = NULL,
            answer = NULL
        WHERE r.state <> 'queued' AND r.reservation_id IS NULL AND r.bucket_id IS NULL
            AND r.operation = excluded.operation AND r.fingerprint = excluded.fingerprint;
        IF FOUND THEN
            outcome := 'new';
            RETURN;
        END IF;
    EXCEPTION WHEN lock_not_available THEN
        outcome := 'inProgress';
        RETURN;
    END;
    SELECT coalesce(k.outcome, 'inProgress'), k.reservation_answer, k.bucket_answer
    INTO outcome, reservation_answer, bucket_answer
    FROM known_request(p_caller, p_key, p_operation, p_fingerprint) k;
    outcome := coalesce(outcome, 'inProgress');
END
$$;

-- For what ends or extends a reservation: an outcome and an answer when there is nothing to be done, NULL when there is.
CREATE FUNCTION begin_change(
    p_id uuid, p_caller text, p_key text, p_operation text, p_fingerprint text, OUT outcome text, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    known record;
BEGIN
    known := begin_request(p_caller, p_key, p_operation, p_fingerprint, p_id, NULL);
    IF known.outcome <> 'new' THEN
        outcome := CASE known.outcome WHEN 'replayed' THEN 'repeated' ELSE known.outcome END;
        answer := reservation_json(known.reservation_answer);
    END IF;
END
$$;
