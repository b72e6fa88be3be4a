-- Ending and extending reservations, and the capacity of buckets.
-- A statement ends with a semicolon before an empty line; a function's body has no empty lines.

-- Locks the buckets of reservations that the caller has locked, in the order of their ids: as everywhere. Answers them, and how
-- many of each are in living lines.
CREATE FUNCTION lock_buckets(p_reservations uuid[], OUT buckets bigint[], OUT quantities bigint[]) LANGUAGE plpgsql AS $$
BEGIN
    SELECT array_agg(s.bucket_id ORDER BY s.bucket_id), array_agg(s.quantity ORDER BY s.bucket_id)
    INTO buckets, quantities
    FROM (
        SELECT l.bucket_id, coalesce(sum(l.quantity) FILTER (WHERE l.state <> 'ended'), 0)::bigint AS quantity
        FROM reservation_line l WHERE l.reservation_id = ANY (p_reservations) GROUP BY l.bucket_id
    ) s;
    PERFORM FROM bucket b WHERE b.id = ANY (buckets) ORDER BY b.id FOR NO KEY UPDATE;
END
$$;

-- Moves the counters and lines of reservations that the caller has locked, with their buckets, and set to their new state.
CREATE FUNCTION settle(
    p_reservations uuid[], p_buckets bigint[], p_quantities bigint[], p_kind text, p_actor text
) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, sold_delta, actor)
    SELECT l.bucket_id, l.reservation_id, CASE p_kind WHEN 'return' THEN 3 ELSE 2 END, p_kind,
        CASE p_kind WHEN 'return' THEN 0 ELSE -l.quantity END,
        CASE p_kind WHEN 'confirm' THEN l.quantity WHEN 'return' THEN -l.quantity ELSE 0 END,
        p_actor
    FROM reservation_line l WHERE l.reservation_id = ANY (p_reservations) AND l.state <> 'ended';
    UPDATE reservation_line SET state = CASE p_kind WHEN 'confirm' THEN 'sold' ELSE 'ended' END
    WHERE reservation_id = ANY (p_reservations) AND state <> 'ended';
    UPDATE bucket b
    SET held = b.held - CASE p_kind WHEN 'return' THEN 0 ELSE p_quantities[array_position(p_buckets, b.id)] END,
        sold = b.sold + CASE p_kind
            WHEN 'confirm' THEN p_quantities[array_position(p_buckets, b.id)]
            WHEN 'return' THEN -p_quantities[array_position(p_buckets, b.id)]
            ELSE 0 END,
        version = b.version + 1
    WHERE b.id = ANY (p_buckets);
    GET DIAGNOSTICS moved = ROW_COUNT;
    -- Somebody has removed what the triggers keep. What is given back may go nowhere; nothing is sold from nowhere.
    IF p_kind = 'confirm' AND moved IS DISTINCT FROM cardinality(p_buckets) THEN
        RAISE EXCEPTION 'what was held is not there any more' USING ERRCODE = 'foreign_key_violation';
    END IF;
END
$$;

-- One transaction by itself. p_kind: confirm, cancel, return.
CREATE FUNCTION resolve(
    p_id uuid, p_holder text, p_kind text, p_replacement uuid, p_actor text,
    p_caller text, p_key text, p_operation text, p_fingerprint text,
    OUT outcome text, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    found_id uuid := p_id;
    row_found reservation;
    locked record;
    moment timestamptz;
    was text;
    target text := CASE p_kind WHEN 'confirm' THEN 'confirmed' WHEN 'cancel' THEN 'cancelled' ELSE 'returned' END;
BEGIN
    IF p_key IS NOT NULL THEN
        SELECT c.outcome, c.answer INTO outcome, answer
        FROM begin_change(p_id, p_caller, p_key, p_operation, p_fingerprint) c;
        IF outcome IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    SELECT * INTO row_found FROM reservation r
    WHERE r.id = p_id AND (p_holder IS NULL OR r.holder = p_holder) FOR NO KEY UPDATE;
    IF p_kind <> 'return' AND row_found.state = 'held' OR p_kind = 'return' AND row_found.state = 'confirmed'
        OR p_replacement IS NOT NULL AND row_found.state = 'expired'
    THEN
        locked := lock_buckets(ARRAY[p_id]);
    END IF;
    -- Decided by the row as it is under the lock, and by the database's clock when all locks are there: a hold that ran out
    -- while its confirmation waited is over.
    moment := clock_timestamp();
    was := CASE
        WHEN row_found.id IS NULL THEN 'none'
        WHEN row_found.state = 'held' AND row_found.expires_at <= moment THEN 'expired'
        ELSE row_found.state
    END;
    IF was = 'none' THEN
        outcome := 'notFound';
    ELSIF was = target THEN
        outcome := 'repeated';
    ELSIF p_kind = 'return' AND was = 'confirmed' OR p_kind <> 'return' AND was = 'held' THEN
        UPDATE reservation SET state = target, resolved_at = moment WHERE id = p_id;
        PERFORM settle(ARRAY[p_id], locked.buckets, locked.quantities, p_kind, p_actor);
        outcome := 'done';
    ELSIF p_kind = 'confirm' AND was = 'expired' AND p_replacement IS NOT NULL THEN
        SELECT r.outcome, r.answer INTO outcome, answer
        FROM replace_expired(row_found, locked.buckets, locked.quantities, p_replacement, p_actor, moment) r;
        found_id := p_replacement;
    ELSE
        outcome := 'conflict';
    END IF;
    IF p_key IS NOT NULL AND outcome <> 'done' THEN
        DELETE FROM request WHERE caller = p_caller AND key = p_key;
    ELSIF p_key IS NOT NULL AND found_id <> p_id THEN
        UPDATE request SET reservation_id = found_id WHERE caller = p_caller AND key = p_key;
    END IF;
    IF outcome NOT IN ('notFound', 'short') THEN
        answer := reservation_json(found_id);
    END IF;
END
$$;

-- Sells again what an expired hold had, as a new reservation: the end of the old one, if nobody has written it down, a hold
-- and its confirmation. The caller has locked the old one and its buckets.
CREATE FUNCTION replace_expired(
    p_old reservation, p_buckets bigint[], p_quantities bigint[], p_new uuid, p_actor text, p_moment timestamptz,
    OUT outcome text, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    known_state text;
BEGIN
    SELECT r.state INTO known_state FROM reservation r WHERE r.id = p_new AND r.holder = p_old.holder;
    IF FOUND THEN
        outcome := CASE known_state WHEN 'confirmed' THEN 'repeated' ELSE 'conflict' END;
        RETURN;
    END IF;
    IF p_old.state = 'held' THEN
        UPDATE reservation SET state = 'expired', resolved_at = expires_at WHERE id = p_old.id;
        PERFORM settle(ARRAY[p_old.id], p_buckets, p_quantities, 'expire', 'sweeper');
    END IF;
    SELECT shortages(
        p_old.holder, array_agg(b.kind ORDER BY b.id), array_agg(b.item ORDER BY b.id), array_agg(b.label ORDER BY b.id),
        array_agg(b.night ORDER BY b.id), array_agg(l.quantity ORDER BY b.id), p_moment)
    INTO answer
    FROM reservation_line l, LATERAL (SELECT * FROM bucket x WHERE x.id = l.bucket_id OFFSET 0) b
    WHERE l.reservation_id = p_old.id;
    IF answer IS NOT NULL THEN
        outcome := 'short';
        RETURN;
    END IF;
    INSERT INTO reservation (id, holder, state, created_at, expires_at, hard_deadline, resolved_at)
    VALUES (p_new, p_old.holder, 'confirmed', p_moment, p_moment, p_moment, p_moment);
    INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive, state)
    SELECT p_new, l.bucket_id, l.quantity, l.exclusive, 'sold' FROM reservation_line l WHERE l.reservation_id = p_old.id;
    INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, sold_delta, actor)
    SELECT l.bucket_id, p_new, k.phase, k.kind, k.held * l.quantity, k.sold * l.quantity, p_actor
    FROM reservation_line l, (VALUES (1, 'hold', 1, 0), (2, 'confirm', -1, 1)) AS k(phase, kind, held, sold)
    WHERE l.reservation_id = p_new
    ORDER BY k.phase, l.bucket_id;
    UPDATE bucket b
    SET sold = b.sold + (
            SELECT l.quantity FROM reservation_line l WHERE l.reservation_id = p_new AND l.bucket_id = b.id),
        version = b.version + 2
    WHERE b.id = ANY (p_buckets);
    outcome := 'done';
END
$$;

-- One transaction by itself.
CREATE FUNCTION extend(
    p_id uuid, p_holder text, p_ttl bigint, p_caller text, p_key text, p_operation text, p_fingerprint text,
    OUT outcome text, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    row_found reservation;
    moment timestamptz;
BEGIN
    IF p_key IS NOT NULL THEN
        SELECT c.outcome, c.answer INTO outcome, answer
        FROM begin_change(p_id, p_caller, p_key, p_operation, p_fingerprint) c;
        IF outcome IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    -- As a claim does before it counts: else a hold whose extension is not committed yet would seem to be over to it.
    PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':' || r.holder, 5091))
    FROM reservation r WHERE r.id = p_id AND (p_holder IS NULL OR r.holder = p_holder);
    SELECT * INTO row_found FROM reservation r
    WHERE r.id = p_id AND (p_holder IS NULL OR r.holder = p_holder) FOR NO KEY UPDATE;
    moment := clock_timestamp();
    IF row_found.id IS NULL THEN
        outcome := 'notFound';
    ELSIF row_found.state <> 'held' OR row_found.expires_at <= moment THEN
        outcome := 'conflict';
    ELSIF row_found.expires_at >= row_found.hard_deadline THEN
        outcome := 'extensionLimit';
    ELSE
        UPDATE reservation
        SET expires_at = greatest(expires_at, least(moment + p_ttl * interval '1 microsecond', hard_deadline))
        WHERE id = p_id;
        outcome := 'done';
    END IF;
    IF p_key IS NOT NULL AND outcome <> 'done' THEN
        DELETE FROM request WHERE caller = p_caller AND key = p_key;
    END IF;
    IF outcome <> 'notFound' THEN
        answer := reservation_json(p_id);
    END IF;
END
$$;

-- One transaction by itself: ends holds whose time is up, the oldest first; of these buckets, or of all when the arrays are
-- NULL. Those that somebody else is ending are passed over.
CREATE FUNCTION expire(
    p_kinds text[], p_items text[], p_labels text[], p_nights text[], p_limit bigint
) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    buckets bigint[];
    due uuid[];
    locked record;
BEGIN
    IF p_kinds IS NOT NULL THEN
        SELECT array_agg(b.id) INTO buckets
        FROM unnest(p_kinds, p_items, p_labels, p_nights) AS l(kind, item, label, night),
            LATERAL (
                SELECT * FROM bucket x
                WHERE x.item = l.item AND x.label = l.label AND x.night = l.night AND x.kind = l.kind OFFSET 0
            ) b;
        IF buckets IS NULL THEN
            RETURN;
        END IF;
    END IF;
    SELECT array_agg(s.id ORDER BY s.expires_at, s.id) INTO due
    FROM (
        SELECT r.id, r.expires_at FROM reservation r
        WHERE r.state = 'held' AND r.expires_at <= now()
            AND (buckets IS NULL OR EXISTS (
                SELECT FROM reservation_line l WHERE l.reservation_id = r.id AND l.bucket_id = ANY (buckets)))
        ORDER BY r.expires_at LIMIT p_limit
        FOR NO KEY UPDATE SKIP LOCKED
    ) s;
    IF due IS NULL THEN
        RETURN;
    END IF;
    locked := lock_buckets(due);
    UPDATE reservation SET state = 'expired', resolved_at = expires_at WHERE id = ANY (due);
    PERFORM settle(due, locked.buckets, locked.quantities, 'expire', 'sweeper');
    RETURN QUERY SELECT reservation_json(d.id) FROM unnest(due) WITH ORDINALITY AS d(id, position) ORDER BY d.position;
END
$$;

-- One transaction by itself.
CREATE FUNCTION restock(
    p_kind text, p_item text, p_label text, p_night text, p_delta bigint, p_maximum bigint, p_actor text,
    p_caller text, p_key text, p_operation text, p_fingerprint text,
    OUT outcome text, OUT committed bigint, OUT capacity bigint, OUT held bigint, OUT sold bigint, OUT version bigint,
    OUT fence bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    target bigint;
    now_there bucket;
BEGIN
    IF p_key IS NOT NULL THEN
        SELECT k.outcome, k.bucket_answer INTO outcome, target
        FROM known_request(p_caller, p_key, p_operation, p_fingerprint) k;
        IF outcome = 'replayed' AND target IS NULL THEN
            outcome := 'reused';
        END IF;
        IF outcome = 'replayed' THEN
            SELECT b.capacity, b.held, b.sold, b.version, b.fence INTO capacity, held, sold, version, fence
            FROM bucket b WHERE b.id = target;
        END IF;
        IF outcome IS NOT NULL THEN
            RETURN;
        END IF;
    END IF;
    IF p_delta > p_maximum THEN
        outcome := 'aboveMaximum';
        RETURN;
    END IF;
    IF p_delta >= 0 THEN
        INSERT INTO bucket (kind, item, label, night, capacity) VALUES (p_kind, p_item, p_label, p_night, 0)
        ON CONFLICT (item, label, night) DO NOTHING;
    END IF;
    SELECT b.id INTO target FROM bucket b
    WHERE b.item = p_item AND b.label = p_label AND b.night = p_night AND b.kind = p_kind;
    IF NOT FOUND THEN
        -- Nothing can be taken of what is not there.
        outcome := 'belowCommitments';
        committed := 0;
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        SELECT r.outcome INTO outcome
        FROM begin_request(p_caller, p_key, p_operation, p_fingerprint, NULL, target) r;
        IF outcome = 'replayed' THEN
            SELECT b.capacity, b.held, b.sold, b.version, b.fence INTO capacity, held, sold, version, fence
            FROM bucket b WHERE b.id = target;
        END IF;
        IF outcome <> 'new' THEN
            RETURN;
        END IF;
    END IF;
    SELECT * INTO now_there FROM bucket b WHERE b.id = target FOR NO KEY UPDATE;
    outcome := CASE
        WHEN now_there.capacity + p_delta < now_there.held + now_there.sold THEN 'belowCommitments'
        WHEN now_there.capacity + p_delta > p_maximum THEN 'aboveMaximum'
        ELSE 'done'
    END;
    IF outcome <> 'done' THEN
        committed := now_there.held + now_there.sold;
        DELETE FROM request WHERE caller = p_caller AND key = p_key;
        RETURN;
    END IF;
    UPDATE bucket b SET capacity = b.capacity + p_delta, version = b.version + 1 WHERE b.id = now_there.id
    RETURNING b.capacity, b.held, b.sold, b.version, b.fence INTO capacity, held, sold, version, fence;
    INSERT INTO ledger (bucket_id, phase, kind, capacity_delta, actor)
    VALUES (now_there.id, 0, 'stock', p_delta, p_actor);
END
$$;
