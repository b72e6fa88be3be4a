-- Holding a cart.
-- A statement ends with a semicolon before an empty line; a function's body has no empty lines.

-- Why the cart cannot be held as the rows stand, in the order of the store's contract: the holder's limit, a stale fence, a
-- version that has changed, shortages. NULL when it can be held. Reads only.
CREATE FUNCTION claim_refusal(
    p_id uuid, p_holder text, p_kinds text[], p_items text[], p_labels text[], p_nights text[], p_quantities bigint[],
    p_limit bigint, p_token bigint, p_versions bigint[],
    OUT outcome text, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    moment CONSTANT timestamptz := clock_timestamp();
BEGIN
    IF p_limit IS NOT NULL THEN
        SELECT count(*)::text INTO answer FROM reservation
        WHERE holder = p_holder AND state = 'held' AND expires_at > moment AND id <> p_id;
        IF answer::bigint >= p_limit THEN
            outcome := 'holdLimit';
            RETURN;
        END IF;
        answer := NULL;
    END IF;
    IF p_token IS NOT NULL THEN
        SELECT json_build_object(
            'bucket', json_build_object('kind', l.kind, 'item', l.item, 'label', l.label, 'night', l.night),
            'seen', b.fence)::text
        INTO answer
        FROM unnest(p_kinds, p_items, p_labels, p_nights) WITH ORDINALITY AS l(kind, item, label, night, position),
            LATERAL (
                SELECT * FROM bucket x
                WHERE x.item = l.item AND x.label = l.label AND x.night = l.night AND x.kind = l.kind OFFSET 0
            ) b
        WHERE b.fence > p_token
        ORDER BY l.position LIMIT 1;
        IF FOUND THEN
            outcome := 'staleFence';
            RETURN;
        END IF;
    END IF;
    IF p_versions IS NOT NULL THEN
        PERFORM FROM unnest(p_kinds, p_items, p_labels, p_nights, p_versions) AS l(kind, item, label, night, version)
            LEFT JOIN LATERAL (
                SELECT * FROM bucket x
                WHERE x.item = l.item AND x.label = l.label AND x.night = l.night AND x.kind = l.kind OFFSET 0
            ) b ON true
        WHERE b.version IS DISTINCT FROM l.version;
        IF FOUND THEN
            outcome := 'versionConflict';
            RETURN;
        END IF;
    END IF;
    answer := shortages(p_holder, p_kinds, p_items, p_labels, p_nights, p_quantities, moment);
    IF answer IS NOT NULL THEN
        outcome := 'short';
    END IF;
END
$$;

-- What is known already: the request's answer, or a reservation with this id. No row when neither is.
CREATE FUNCTION known_claim(
    p_id uuid, p_holder text, p_caller text, p_key text, p_operation text, p_fingerprint text,
    OUT outcome text, OUT answer text
) LANGUAGE plpgsql AS $$
DECLARE
    known_id uuid;
    known_holder text;
BEGIN
    IF p_key IS NOT NULL THEN
        SELECT k.outcome, k.reservation_answer INTO outcome, known_id
        FROM known_request(p_caller, p_key, p_operation, p_fingerprint) k;
        IF outcome IS NOT NULL THEN
            answer := reservation_json(known_id);
            RETURN;
        END IF;
    END IF;
    SELECT r.id, r.holder INTO known_id, known_holder FROM reservation r WHERE r.id = p_id;
    IF FOUND THEN
        IF known_holder <> p_holder THEN
            RAISE EXCEPTION 'there is a reservation with this id already'
                USING ERRCODE = 'unique_violation', CONSTRAINT = 'reservation_pkey';
        END IF;
        outcome := 'replayed';
        answer := reservation_json(known_id);
    END IF;
END
$$;

-- One transaction by itself, in one round trip. All rules are this function; they differ in what they lock and compare:
--   atomic        the conditional update alone, when it is of one bucket
--   pessimistic   p_locks_first: the row is locked, read and then written; p_lock_timeout limits the wait
--   optimistic    p_versions: written only where nothing has changed since
--   fenced        p_token: written only where no greater token was, and leaves it there
-- Several buckets, and seats, are locked first under every rule, in the order of their ids: an UPDATE of several rows would lock them in
-- the order of its plan, and two carts would wait for each other.
-- Order of locks: the request, the holder, the reservation, buckets ascending.
-- Functions are called in assignments, not in queries: that spares them an executor each.
CREATE FUNCTION claim(
    p_id uuid, p_holder text, p_kinds text[], p_items text[], p_labels text[], p_nights text[], p_quantities bigint[],
    p_ttl bigint, p_total bigint, p_limit bigint,
    p_locks_first boolean, p_lock_timeout text, p_token bigint, p_versions bigint[],
    p_caller text, p_key text, p_operation text, p_fingerprint text,
    OUT outcome text, OUT answer text, OUT created bigint, OUT expires bigint, OUT deadline bigint
) LANGUAGE plpgsql AS $$
DECLARE
    seen record;
    refusal record;
    result record;
    begun timestamptz;
    late interval;
BEGIN
    IF p_lock_timeout IS NOT NULL THEN
        PERFORM set_config('lock_timeout', p_lock_timeout, true);
    END IF;
    -- A look without a lock: the ids, and whether it is worth a write. What is refused here has written nothing: when
    -- thousands find an item sold out, that matters.
    IF cardinality(p_kinds) = 1 THEN
        SELECT ARRAY[b.id] AS ids, p_quantities AS quantities, p_versions AS versions, ARRAY[b.kind = 'seat'] AS seats,
            b.capacity - b.held - b.sold >= p_quantities[1] AND (p_token IS NULL OR b.fence <= p_token)
                AND (p_versions IS NULL OR b.version IS NOT DISTINCT FROM p_versions[1]) AS is_possible
        INTO seen
        FROM bucket b
        WHERE b.item = p_items[1] AND b.label = p_labels[1] AND b.night = p_nights[1] AND b.kind = p_kinds[1];
    ELSE
        SELECT array_agg(b.id ORDER BY b.id) AS ids, array_agg(l.quantity ORDER BY b.id) AS quantities,
            array_agg(l.version ORDER BY b.id) AS versions, array_agg(b.kind = 'seat' ORDER BY b.id) AS seats,
            bool_and(b.id IS NOT NULL AND b.capacity - b.held - b.sold >= l.quantity
                AND (p_token IS NULL OR b.fence <= p_token)
                AND (p_versions IS NULL OR b.version IS NOT DISTINCT FROM l.version)) AS is_possible
        INTO seen
        FROM unnest(p_kinds, p_items, p_labels, p_nights, p_quantities, coalesce(p_versions, array[]::bigint[]))
            AS l(kind, item, label, night, quantity, version)
        LEFT JOIN LATERAL (
            SELECT * FROM bucket x
            WHERE x.item = l.item AND x.label = l.label AND x.night = l.night AND x.kind = l.kind OFFSET 0
        ) b ON true;
    END IF;
    IF seen.is_possible IS NOT TRUE THEN
        refusal := claim_refusal(
            p_id, p_holder, p_kinds, p_items, p_labels, p_nights, p_quantities, p_limit, p_token, p_versions);
        -- Afterwards, so that a twin which took the last unit is seen as the twin and not as a shortage.
        result := known_claim(p_id, p_holder, p_caller, p_key, p_operation, p_fingerprint);
        -- 'again' when it has become possible between the two looks.
        outcome := coalesce(result.outcome, refusal.outcome, 'again');
        answer := CASE WHEN result.outcome IS NULL THEN refusal.answer ELSE result.answer END;
        RETURN;
    END IF;
    IF p_key IS NOT NULL THEN
        result := begin_request(p_caller, p_key, p_operation, p_fingerprint, p_id, NULL);
        IF result.outcome <> 'new' THEN
            outcome := result.outcome;
            answer := reservation_json(result.reservation_answer);
            RETURN;
        END IF;
    END IF;
    result := hold(p_id, p_holder, least(p_ttl, p_total), p_total, p_limit);
    outcome := result.outcome;
    answer := result.answer;
    begun := result.begun;
    -- Of a seat there is one: those who want it wait for its row, and not for the unique index of its line.
    IF outcome IS NULL AND NOT take(
        seen.ids, seen.quantities, seen.versions, seen.seats, p_id, p_holder,
        p_locks_first OR p_token IS NOT NULL OR cardinality(p_kinds) > 1 OR seen.seats[1], p_token, p_versions IS NOT NULL
    ) THEN
        DELETE FROM reservation WHERE id = p_id;
        refusal := claim_refusal(
            p_id, p_holder, p_kinds, p_items, p_labels, p_nights, p_quantities, p_limit, p_token, p_versions);
        outcome := coalesce(refusal.outcome, 'again');
        answer := refusal.answer;
    END IF;
    IF outcome IS NOT NULL THEN
        -- What had no effect is not remembered: its key may be used again.
        IF p_key IS NOT NULL THEN
            DELETE FROM request WHERE caller = p_caller AND key = p_key;
        END IF;
        RETURN;
    END IF;
    -- Whoever waited for a row begins when he has it: nobody gets a hold whose time has run while he waited for it. A wait
    -- that is little of the hold is not worth a second write while others wait.
    late := clock_timestamp() - begun;
    IF late > least(p_ttl / 100, p_total / 100, 50000) * interval '1 microsecond' THEN
        begun := begun + late;
        UPDATE reservation
        SET created_at = begun, expires_at = expires_at + late, hard_deadline = hard_deadline + late WHERE id = p_id;
    END IF;
    outcome := 'held';
    created := micros(begun);
    expires := created + least(p_ttl, p_total);
    deadline := created + p_total;
END
$$;

-- Inserts the reservation, unless it is known or its holder has too many. NULL when it did. Times in microseconds.
CREATE FUNCTION hold(
    p_id uuid, p_holder text, p_ttl bigint, p_total bigint, p_limit bigint,
    OUT outcome text, OUT answer text, OUT begun timestamptz
) LANGUAGE plpgsql AS $$
DECLARE
    current bigint;
    known record;
BEGIN
    -- The holder's claims one after the other, from the count to the commit: no two of them can both see room for one. Those
    -- who come next count in a statement of their own, with a snapshot taken after the lock. Locks of two holders whose
    -- hashes are equal cost time and nothing else.
    IF p_limit IS NOT NULL THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':' || p_holder, 5091));
        begun := clock_timestamp();
        SELECT count(*) INTO current FROM reservation
        WHERE holder = p_holder AND state = 'held' AND expires_at > begun;
        IF current >= p_limit THEN
            -- One that is there already needs no room.
            known := known_claim(p_id, p_holder, NULL, NULL, NULL, NULL);
            outcome := coalesce(known.outcome, 'holdLimit');
            answer := coalesce(known.answer, current::text);
            RETURN;
        END IF;
    END IF;
    begun := coalesce(begun, clock_timestamp());
    INSERT INTO reservation (id, holder, state, created_at, expires_at, hard_deadline)
    VALUES (
        p_id, p_holder, 'held', begun, begun + p_ttl * interval '1 microsecond', begun + p_total * interval '1 microsecond')
    ON CONFLICT (id) DO NOTHING;
    IF NOT FOUND THEN
        known := known_claim(p_id, p_holder, NULL, NULL, NULL, NULL);
        outcome := known.outcome;
        answer := known.answer;
    END IF;
END
$$;

-- Writes the lines and the ledger, and moves the counters of all buckets. False, with nothing written, when the rows, locked
-- before, do not allow it.
--
-- Lists beside each other are run through in step, without the copy that FROM makes.
-- The counters are the last to be written: other claims wait for this statement and the commit, and for nothing else.
-- FOR NO KEY UPDATE, as an UPDATE takes it: it leaves those alone who only refer to the row.
CREATE FUNCTION take(
    p_buckets bigint[], p_quantities bigint[], p_versions bigint[], p_seats boolean[], p_id uuid, p_holder text,
    p_locks_first boolean, p_token bigint, p_compares boolean
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    moved bigint;
BEGIN
    IF p_locks_first THEN
        PERFORM FROM bucket b WHERE b.id = ANY (p_buckets) ORDER BY b.id FOR NO KEY UPDATE;
        -- A statement of its own: it sees what those had committed who held the locks before.
        SELECT count(*) INTO moved FROM bucket b
        WHERE b.id = ANY (p_buckets)
            AND b.held + b.sold + p_quantities[array_position(p_buckets, b.id)] <= b.capacity
            AND (p_token IS NULL OR b.fence <= p_token)
            AND (NOT p_compares OR b.version = p_versions[array_position(p_buckets, b.id)]);
        IF moved < cardinality(p_buckets) THEN
            RETURN false;
        END IF;
    END IF;
    INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
    SELECT p_id, unnest(p_buckets), unnest(p_quantities), unnest(p_seats);
    INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, fence, actor)
    SELECT unnest(p_buckets), p_id, 1, 'hold', unnest(p_quantities), coalesce(p_token, 0), p_holder;
    -- Without a token the fence is not so much as mentioned: its trigger would be asked, which costs a twentieth of a claim.
    IF p_token IS NULL THEN
        UPDATE bucket b
        SET held = b.held + p_quantities[array_position(p_buckets, b.id)], version = b.version + 1
        WHERE b.id = ANY (p_buckets)
            AND b.held + b.sold + p_quantities[array_position(p_buckets, b.id)] <= b.capacity
            AND (NOT p_compares OR b.version = p_versions[array_position(p_buckets, b.id)]);
    ELSE
        -- Always under the rows' locks, and found good.
        UPDATE bucket b
        SET held = b.held + p_quantities[array_position(p_buckets, b.id)], version = b.version + 1, fence = p_token
        WHERE b.id = ANY (p_buckets);
    END IF;
    GET DIAGNOSTICS moved = ROW_COUNT;
    IF moved < cardinality(p_buckets) THEN
        -- Others were faster since the look. All of this is rolled back; the client asks again and locks first.
        RAISE EXCEPTION 'the buckets have changed' USING ERRCODE = 'RS001';
    END IF;
    RETURN true;
END
$$;
