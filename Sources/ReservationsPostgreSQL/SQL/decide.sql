-- Deciding on a batch of requests: one transaction, and one change of each bucket, for all of them.
-- A statement ends with a semicolon before an empty line; a function's body has no empty lines.

-- Why a request is refused for want of units: what `shortages` answers, as the batch stands. The counts are those of the
-- moment, with what the batch has given to those before.
CREATE FUNCTION batch_shortage(
    p_line json, p_bucket bucket, p_held bigint, p_taken bigint, p_own_taken bigint, p_holder text, p_moment timestamptz,
    OUT answer json, OUT may_pass boolean
) LANGUAGE plpgsql VOLATILE AS $$
DECLARE
    holds record;
    next_release timestamptz;
    available bigint := p_bucket.capacity - p_bucket.sold - p_held;
    own bigint;
    others bigint;
BEGIN
    IF p_bucket.id IS NOT NULL THEN
        holds := holds_on(p_bucket.id, p_bucket.held, p_holder, p_moment);
        next_release := holds.next_release;
        own := holds.own + p_own_taken;
        others := holds.others + p_taken - p_own_taken;
    END IF;
    may_pass := p_bucket.id IS NOT NULL AND others > 0 AND available + others >= (p_line->>'quantity')::bigint;
    answer := json_build_object(
        'bucket', json_build_object(
            'kind', p_line->>'kind', 'item', p_line->>'item', 'label', p_line->>'label', 'night', p_line->>'night'),
        'requested', (p_line->>'quantity')::bigint,
        'counts', CASE WHEN p_bucket.id IS NOT NULL THEN json_build_array(
            p_bucket.capacity, p_held, p_bucket.sold, p_bucket.version, p_bucket.fence) END,
        'own', coalesce(own, 0), 'others', coalesce(others, 0), 'next', micros(next_release),
        'asOf', micros(p_moment));
END
$$;

-- The bucket of a line of a claim; NULL when there is none.
CREATE FUNCTION bucket_of(p_line json) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT b.id FROM bucket b
    WHERE b.item = p_line->>'item' AND b.label = p_line->>'label' AND b.night = p_line->>'night' AND b.kind = p_line->>'kind'
$$;

-- The buckets of claims, ascending.
CREATE FUNCTION batch_buckets(p_claims json[]) RETURNS bigint[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(s.id ORDER BY s.id) FROM (
        SELECT DISTINCT bucket_of(l.line) AS id
        FROM unnest(p_claims) AS c(claim), json_array_elements(c.claim->'lines') AS l(line)
    ) s WHERE s.id IS NOT NULL
$$;

-- Writes what a batch has given: reservations, lines, the ledger, and each bucket once.
CREATE FUNCTION write_batch(
    callers text[], claims json[], states text[], ids bigint[], buckets bucket[], taken bigint[],
    line_turns int[], line_buckets int[], line_quantities bigint[], moment timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reservation (id, holder, state, expires_at, hard_deadline, created_at)
    SELECT (t.claim->>'id')::uuid, t.caller, 'held',
        moment + least((t.claim->>'ttl')::bigint, (t.claim->>'total')::bigint) * interval '1 microsecond',
        moment + (t.claim->>'total')::bigint * interval '1 microsecond', moment
    FROM unnest(callers, claims, states) AS t(caller, claim, state) WHERE t.state = 'held';
    INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
    SELECT (claims[t.turn]->>'id')::uuid, ids[t.place], t.quantity, (buckets[t.place]).kind = 'seat'
    FROM unnest(line_turns, line_buckets, line_quantities) AS t(turn, place, quantity);
    INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, fence, actor)
    SELECT ids[t.place], (claims[t.turn]->>'id')::uuid, 1, 'hold', t.quantity, 0, callers[t.turn]
    FROM unnest(line_turns, line_buckets, line_quantities) AS t(turn, place, quantity);
    UPDATE bucket b SET held = b.held + taken[array_position(ids, b.id)], version = b.version + 1
    WHERE b.id = ANY (ids) AND taken[array_position(ids, b.id)] > 0;
END
$$;

-- Decides on requests in the order of the arrays. 'decided' with the greatest number that had its turn, and with the place of
-- each request that was waiting and what became of it; 'superseded', when the partition is somebody else's or stands elsewhere;
-- 'overdue', with buckets on which holds are in the way whose time is up, unless p_final. The last two change nothing.
-- Order of locks: the partition, requests, holders, buckets ascending.
CREATE FUNCTION decide(
    p_partition int, p_token bigint, p_from text, p_through text,
    p_callers text[], p_keys text[], p_treatments text[], p_final boolean,
    OUT outcome text, OUT served_through bigint, OUT answer text
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    -- One element for each request that waits, in the order of turns.
    places bigint[];
    callers text[];
    keys text[];
    numbers bigint[];
    claims json[];
    treatments text[];
    states text[];
    answers text[];
    -- One element for each bucket, by their ids.
    buckets bucket[];
    ids bigint[];
    held bigint[];
    taken bigint[];
    -- What was given, one element for each line.
    line_turns int[] := '{}';
    line_buckets int[] := '{}';
    line_quantities bigint[] := '{}';
    moment timestamptz;
    wanted json[];
    indexes int[];
    missing int[] := '{}';
    shortage record;
    shortages json[];
    may_pass boolean;
    own bigint;
    current bigint;
BEGIN
    PERFORM FROM queue_partition q WHERE q.partition = p_partition AND q.token = p_token AND q.position = p_from FOR UPDATE;
    IF NOT FOUND THEN
        outcome := 'superseded';
        RETURN;
    END IF;
    WITH turns AS (
        SELECT t.caller, t.key, min(t.place) AS place
        FROM unnest(p_callers, p_keys) WITH ORDINALITY AS t(caller, key, place) GROUP BY t.caller, t.key
    ), locked AS MATERIALIZED (
        SELECT t.place, r.caller, r.key, r.number, r.claim
        FROM turns t JOIN request r ON r.caller = t.caller AND r.key = t.key
        WHERE r.state = 'queued' AND r.partition = p_partition
        ORDER BY r.caller, r.key FOR UPDATE OF r
    )
    SELECT array_agg(l.place ORDER BY l.place), array_agg(l.caller ORDER BY l.place), array_agg(l.key ORDER BY l.place),
        array_agg(l.number ORDER BY l.place), array_agg(p_treatments[l.place] ORDER BY l.place),
        array_agg(CASE p_treatments[l.place] WHEN 'decide' THEN l.claim::json END ORDER BY l.place)
    INTO places, callers, keys, numbers, treatments, claims
    FROM locked l;
    -- Claims of a holder one after the other, as in `hold`.
    PERFORM pg_advisory_xact_lock(h.hash)
    FROM (
        SELECT DISTINCT hashtextextended(current_schema() || ':' || t.caller, 5091) AS hash
        FROM unnest(callers, claims) AS t(caller, claim) WHERE t.claim->>'limit' IS NOT NULL
        ORDER BY 1 OFFSET 0
    ) h;
    ids := batch_buckets(claims);
    PERFORM FROM bucket b WHERE b.id = ANY (ids) ORDER BY b.id FOR NO KEY UPDATE;
    -- A statement of its own: it sees what those had committed who held the locks before.
    SELECT array_agg(b ORDER BY b.id), array_agg(b.held ORDER BY b.id), array_agg(0::bigint ORDER BY b.id)
    INTO buckets, held, taken
    FROM bucket b WHERE b.id = ANY (ids);
    moment := clock_timestamp();
    states := array_fill(NULL::text, ARRAY[coalesce(cardinality(places), 0)]);
    answers := states;
    FOR turn IN 1..coalesce(cardinality(places), 0) LOOP
        IF treatments[turn] <> 'decide' THEN
            states[turn] := CASE treatments[turn] WHEN 'skip' THEN 'skipped' ELSE 'failed' END;
            CONTINUE;
        END IF;
        IF claims[turn]->>'limit' IS NOT NULL THEN
            SELECT count(*) INTO current FROM reservation r
            WHERE r.holder = callers[turn] AND r.state = 'held' AND r.expires_at > moment;
            FOR earlier IN 1..turn - 1 LOOP
                IF states[earlier] = 'held' AND callers[earlier] = callers[turn] THEN
                    current := current + 1;
                END IF;
            END LOOP;
            IF current >= (claims[turn]->>'limit')::bigint THEN
                states[turn] := 'refused';
                answers[turn] := json_build_object('outcome', 'holdLimit', 'answer', current::text)::text;
                CONTINUE;
            END IF;
        END IF;
        SELECT array_agg(l.line ORDER BY l.place), array_agg(array_position(ids, x.id) ORDER BY l.place)
        INTO wanted, indexes
        FROM json_array_elements(claims[turn]->'lines') WITH ORDINALITY AS l(line, place)
        LEFT JOIN LATERAL bucket_of(l.line) AS x(id) ON true;
        shortages := NULL;
        may_pass := true;
        FOR line IN 1..cardinality(wanted) LOOP
            IF indexes[line] IS NULL OR (buckets[indexes[line]]).capacity - (buckets[indexes[line]]).sold
                - held[indexes[line]] < (wanted[line]->>'quantity')::bigint
            THEN
                own := 0;
                FOR given IN 1..cardinality(line_turns) LOOP
                    IF line_buckets[given] = indexes[line] AND callers[line_turns[given]] = callers[turn] THEN
                        own := own + line_quantities[given];
                    END IF;
                END LOOP;
                shortage := batch_shortage(
                    wanted[line], buckets[indexes[line]], held[indexes[line]], taken[indexes[line]], own, callers[turn],
                    moment);
                shortages := shortages || shortage.answer;
                may_pass := may_pass AND shortage.may_pass;
                missing := missing || indexes[line];
            END IF;
        END LOOP;
        IF shortages IS NOT NULL THEN
            -- What may pass is told, and may be asked again with the same key.
            states[turn] := CASE WHEN may_pass THEN 'refused' ELSE 'sold out' END;
            answers[turn] := json_build_object(
                'outcome', 'short', 'answer', array_to_json(shortages)::text)::text;
            CONTINUE;
        END IF;
        states[turn] := 'held';
        FOR line IN 1..cardinality(wanted) LOOP
            held[indexes[line]] := held[indexes[line]] + (wanted[line]->>'quantity')::bigint;
            taken[indexes[line]] := taken[indexes[line]] + (wanted[line]->>'quantity')::bigint;
            line_turns := line_turns || turn;
            line_buckets := line_buckets || indexes[line];
            line_quantities := line_quantities || (wanted[line]->>'quantity')::bigint;
        END LOOP;
    END LOOP;
    IF cardinality(missing) > 0 AND NOT p_final THEN
        SELECT json_agg(json_build_object('kind', b.kind, 'item', b.item, 'label', b.label, 'night', b.night))::text
        INTO answer
        FROM bucket b
        WHERE b.id IN (
            SELECT l.bucket_id FROM reservation r JOIN reservation_line l ON l.reservation_id = r.id
            WHERE r.state = 'held' AND r.expires_at <= moment
        ) AND array_position(ids, b.id) = ANY (missing);
        IF answer IS NOT NULL THEN
            outcome := 'overdue';
            RETURN;
        END IF;
    END IF;
    PERFORM write_batch(callers, claims, states, ids, buckets, taken, line_turns, line_buckets, line_quantities, moment);
    UPDATE request r
    SET state = CASE t.state WHEN 'held' THEN 'done' WHEN 'sold out' THEN 'done' ELSE t.state END,
        reservation_id = CASE t.state WHEN 'held' THEN (t.claim->>'id')::uuid END, answer = t.answer, claim = NULL
    FROM unnest(callers, keys, claims, states, answers) AS t(caller, key, claim, state, answer)
    WHERE r.caller = t.caller AND r.key = t.key;
    UPDATE queue_partition q
    SET position = p_through, served = greatest(q.served, (SELECT max(n) FROM unnest(numbers) AS t(n)))
    WHERE q.partition = p_partition
    RETURNING q.served INTO served_through;
    outcome := 'decided';
    SELECT json_agg(json_build_array(t.place - 1, CASE t.state WHEN 'sold out' THEN 'refused' ELSE t.state END))::text
    INTO answer FROM unnest(places, states) AS t(place, state);
END
$$;
