-- Deciding on a batch of requests: one transaction, and one change of each bucket, for all of them.
-- A statement ends with a semicolon before an empty line; a function's body has no empty lines.

-- Why a request is refused for want of units: what `shortages` answers, as the batch stands. The counts are those of the
-- moment, with what the batch has given to those before.
CREATE FUNCTION batch_shortage(
    p_line json, p_bucket bucket, p_held bigint, p_own bigint, p_others bigint, p_next timestamptz, p_moment timestamptz,
    OUT answer json, OUT may_pass boolean
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    may_pass := p_bucket.id IS NOT NULL AND p_others > 0
        AND p_bucket.capacity - p_bucket.sold - p_held + p_others >= (p_line->>'quantity')::bigint;
    answer := json_build_object(
        'bucket', json_build_object(
            'kind', p_line->>'kind', 'item', p_line->>'item', 'label', p_line->>'label', 'night', p_line->>'night'),
        'requested', (p_line->>'quantity')::bigint,
        'counts', CASE WHEN p_bucket.id IS NOT NULL THEN json_build_array(
            p_bucket.capacity, p_held, p_bucket.sold, p_bucket.version, p_bucket.fence) END,
        'own', p_own, 'others', p_others, 'next', micros(p_next), 'asOf', micros(p_moment));
END
$$;

-- The lines of claims in their order: whose turn, which of his lines, and of which bucket, NULL where there is none.
CREATE FUNCTION batch_lines(
    p_claims json[], OUT turns int[], OUT places int[], OUT ids bigint[], OUT quantities bigint[], OUT seats boolean[]
) LANGUAGE plpgsql STABLE AS $$
BEGIN
    SELECT array_agg(t.turn::int ORDER BY t.turn, l.place), array_agg(l.place::int ORDER BY t.turn, l.place),
        array_agg(b.id ORDER BY t.turn, l.place), array_agg(l.quantity ORDER BY t.turn, l.place),
        array_agg(l.kind = 'seat' ORDER BY t.turn, l.place)
    INTO turns, places, ids, quantities, seats
    FROM unnest(p_claims) WITH ORDINALITY AS t(claim, turn)
    CROSS JOIN LATERAL ROWS FROM (json_to_recordset(t.claim->'lines')
        AS (kind text, item text, label text, night text, quantity bigint)) WITH ORDINALITY
        AS l(kind, item, label, night, quantity, place)
    LEFT JOIN LATERAL (
        SELECT x.id FROM bucket x
        WHERE x.item = l.item AND x.label = l.label AND x.night = l.night AND x.kind = l.kind OFFSET 0
    ) b ON true;
END
$$;

-- Whether each of these callers holds anything anywhere.
CREATE FUNCTION batch_holders(p_callers text[]) RETURNS boolean[] LANGUAGE sql STABLE AS $$
    SELECT array_agg(
        EXISTS (SELECT FROM reservation r WHERE r.holder = t.caller AND r.state = 'held') ORDER BY t.place)
    FROM unnest(p_callers) WITH ORDINALITY AS t(caller, place)
$$;

-- What becomes of each turn when there is not enough for all: 'held', 'refused' for a reason that may pass, 'sold out', and
-- how refusals are told. Also the buckets of which there was too little. One turn after the other, as each leaves the buckets.
CREATE FUNCTION batch_states(
    p_callers text[], p_claims json[], p_treatments text[], p_limits bigint[], p_holds bigint[], p_buckets bucket[],
    p_held bigint[], p_turns int[], p_places int[], p_indexes int[], p_quantities bigint[], p_moment timestamptz,
    OUT states text[], OUT answers text[], OUT missing int[]
) LANGUAGE plpgsql STABLE AS $$
DECLARE
    -- One element for each bucket.
    held bigint[] := p_held;
    taken bigint[] := array_fill(0::bigint, ARRAY[coalesce(cardinality(p_buckets), 0)]);
    -- What is held there by others than those who hold nothing, and when the first of it ends; NULL until somebody asks.
    others bigint[] := array_fill(NULL::bigint, ARRAY[coalesce(cardinality(p_buckets), 0)]);
    releases timestamptz[] := array_fill(NULL::timestamptz, ARRAY[coalesce(cardinality(p_buckets), 0)]);
    -- Whether each turn's caller holds anything; NULL until somebody asks.
    are_holders boolean[];
    -- Whether somebody has two turns: whoever has one has got nothing in this batch before.
    repeats CONSTANT boolean := (SELECT count(DISTINCT c) < count(*) FROM unnest(p_callers) AS t(c));
    next_line int := 1;
    first_line int;
    place int;
    holds record;
    shortage record;
    shortages json[];
    may_pass boolean;
    own bigint;
BEGIN
    states := array_fill(NULL::text, ARRAY[cardinality(p_callers)]);
    answers := states;
    missing := '{}';
    FOR turn IN 1..cardinality(p_callers) LOOP
        IF p_treatments[turn] <> 'decide' THEN
            states[turn] := CASE p_treatments[turn] WHEN 'skip' THEN 'skipped' ELSE 'failed' END;
            CONTINUE;
        END IF;
        first_line := next_line;
        WHILE p_turns[next_line] = turn LOOP
            next_line := next_line + 1;
        END LOOP;
        IF p_limits[turn] IS NOT NULL THEN
            own := p_holds[turn];
            IF repeats THEN
                FOR earlier IN 1..turn - 1 LOOP
                    IF states[earlier] = 'held' AND p_callers[earlier] = p_callers[turn] THEN
                        own := own + 1;
                    END IF;
                END LOOP;
            END IF;
            IF own >= p_limits[turn] THEN
                states[turn] := 'refused';
                answers[turn] := json_build_object('outcome', 'holdLimit', 'answer', own::text)::text;
                CONTINUE;
            END IF;
        END IF;
        shortages := NULL;
        may_pass := true;
        FOR line IN first_line..next_line - 1 LOOP
            place := p_indexes[line];
            CONTINUE WHEN place IS NOT NULL AND (p_buckets[place]).capacity - (p_buckets[place]).sold - held[place]
                >= p_quantities[line];
            own := 0;
            IF place IS NULL THEN
                shortage := batch_shortage(
                    p_claims[turn]->'lines'->(p_places[line] - 1), NULL, 0, 0, 0, NULL, p_moment);
            ELSE
                are_holders := coalesce(are_holders, batch_holders(p_callers));
                IF repeats THEN
                    FOR given IN 1..first_line - 1 LOOP
                        IF p_indexes[given] = place AND states[p_turns[given]] = 'held'
                            AND p_callers[p_turns[given]] = p_callers[turn]
                        THEN
                            own := own + p_quantities[given];
                        END IF;
                    END LOOP;
                END IF;
                IF are_holders[turn] THEN
                    holds := holds_on(
                        (p_buckets[place]).id, (p_buckets[place]).held, p_callers[turn], p_moment);
                    shortage := batch_shortage(
                        p_claims[turn]->'lines'->(p_places[line] - 1), p_buckets[place], held[place], holds.own + own,
                        holds.others + taken[place] - own, holds.next_release, p_moment);
                ELSE
                    IF others[place] IS NULL THEN
                        -- As for somebody who holds nothing: the same for all of them.
                        holds := holds_on((p_buckets[place]).id, (p_buckets[place]).held, '', p_moment);
                        others[place] := holds.others;
                        releases[place] := holds.next_release;
                    END IF;
                    shortage := batch_shortage(
                        p_claims[turn]->'lines'->(p_places[line] - 1), p_buckets[place], held[place], own,
                        others[place] + taken[place] - own, releases[place], p_moment);
                END IF;
                missing := missing || place;
            END IF;
            shortages := shortages || shortage.answer;
            may_pass := may_pass AND shortage.may_pass;
        END LOOP;
        IF shortages IS NOT NULL THEN
            -- What may pass is told, and may be asked again with the same key.
            states[turn] := CASE WHEN may_pass THEN 'refused' ELSE 'sold out' END;
            answers[turn] := json_build_object(
                'outcome', 'short', 'answer', array_to_json(shortages)::text)::text;
            CONTINUE;
        END IF;
        states[turn] := 'held';
        FOR line IN first_line..next_line - 1 LOOP
            place := p_indexes[line];
            held[place] := held[place] + p_quantities[line];
            taken[place] := taken[place] + p_quantities[line];
        END LOOP;
    END LOOP;
END
$$;

-- Writes what a batch has given: reservations, lines, the ledger, and each bucket once.
CREATE FUNCTION write_batch(
    p_states text[], p_reservations uuid[], p_callers text[], p_ttls bigint[], p_totals bigint[],
    p_turns int[], p_buckets bigint[], p_quantities bigint[], p_seats boolean[], p_moment timestamptz
) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO reservation (id, holder, state, expires_at, hard_deadline, created_at)
    SELECT t.id, t.caller, 'held', p_moment + least(t.ttl, t.total) * interval '1 microsecond',
        p_moment + t.total * interval '1 microsecond', p_moment
    FROM unnest(p_states, p_reservations, p_callers, p_ttls, p_totals) AS t(state, id, caller, ttl, total)
    WHERE t.state = 'held';
    INSERT INTO reservation_line (reservation_id, bucket_id, quantity, exclusive)
    SELECT p_reservations[t.turn], t.bucket, t.quantity, t.seat
    FROM unnest(p_turns, p_buckets, p_quantities, p_seats) AS t(turn, bucket, quantity, seat)
    WHERE p_states[t.turn] = 'held';
    INSERT INTO ledger (bucket_id, reservation_id, phase, kind, held_delta, fence, actor)
    SELECT t.bucket, p_reservations[t.turn], 1, 'hold', t.quantity, 0, p_callers[t.turn]
    FROM unnest(p_turns, p_buckets, p_quantities) AS t(turn, bucket, quantity)
    WHERE p_states[t.turn] = 'held';
    UPDATE bucket b SET held = b.held + g.quantity, version = b.version + 1
    FROM (
        SELECT t.bucket, sum(t.quantity)::bigint AS quantity
        FROM unnest(p_turns, p_buckets, p_quantities) AS t(turn, bucket, quantity)
        WHERE p_states[t.turn] = 'held' GROUP BY t.bucket
    ) g
    WHERE b.id = g.bucket;
END
$$;

-- Decides on requests in the order of the arrays. The first row says what came of the batch: 'decided' with the greatest number
-- that had its turn; 'superseded', when the partition is somebody else's or stands elsewhere; 'overdue', with buckets on which
-- holds are in the way whose time is up, unless p_final. The last two change nothing. Then, of a batch that is decided, one row
-- for each request that was waiting: its place in the arrays, what became of it, and what it is told.
-- Order of locks: the partition, requests, holders, buckets ascending.
CREATE FUNCTION decide(
    p_partition int, p_token bigint, p_from text, p_through text,
    p_callers text[], p_keys text[], p_treatments text[], p_final boolean
) RETURNS TABLE (
    place bigint, word text, served_through bigint, answer text, reservation uuid, created bigint, expires bigint,
    deadline bigint
) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    -- One element for each request that waits, in the order of turns.
    v_places bigint[];
    callers text[];
    keys text[];
    numbers bigint[];
    claims json[];
    treatments text[];
    reservations uuid[];
    ttls bigint[];
    totals bigint[];
    limits bigint[];
    -- How many live holds its caller has, for those who are limited.
    holds bigint[];
    states text[];
    answers text[];
    -- What is wanted, one element for each line, in the order of turns.
    lines record;
    -- Which of the buckets below it is of; NULL where there is none.
    indexes int[];
    -- One element for each bucket, by their ids.
    buckets bucket[];
    held bigint[];
    missing int[];
    moment timestamptz;
    fits boolean;
    result record;
    v_served bigint;
    v_overdue text;
BEGIN
    PERFORM FROM queue_partition q WHERE q.partition = p_partition AND q.token = p_token AND q.position = p_from FOR UPDATE;
    IF NOT FOUND THEN
        word := 'superseded';
        RETURN NEXT;
        RETURN;
    END IF;
    -- By their names, one by one and in one order, and never by all who wait in the line: those may be very many.
    WITH turns AS MATERIALIZED (
        SELECT t.caller, t.key, min(t.place) AS place
        FROM unnest(p_callers, p_keys) WITH ORDINALITY AS t(caller, key, place)
        GROUP BY t.caller, t.key ORDER BY t.caller COLLATE "C", t.key COLLATE "C"
    ), locked AS MATERIALIZED (
        SELECT t.place, r.caller, r.key, r.number, p_treatments[t.place] AS treatment,
            CASE p_treatments[t.place] WHEN 'decide' THEN r.claim::json END AS claim
        FROM turns t, LATERAL (
            SELECT * FROM request x WHERE x.caller = t.caller AND x.key = t.key OFFSET 0 FOR UPDATE
        ) r
        WHERE r.state = 'queued' AND r.partition = p_partition
    ), ordered AS (
        SELECT * FROM locked l ORDER BY l.place
    )
    SELECT array_agg(o.place), array_agg(o.caller), array_agg(o.key), array_agg(o.number), array_agg(o.treatment),
        array_agg(o.claim), array_agg((o.claim->>'id')::uuid), array_agg((o.claim->>'ttl')::bigint),
        array_agg((o.claim->>'total')::bigint), array_agg((o.claim->>'limit')::bigint)
    INTO v_places, callers, keys, numbers, treatments, claims, reservations, ttls, totals, limits
    FROM ordered o;
    IF v_places IS NULL THEN
        v_places := '{}';
        callers := '{}';
    END IF;
    -- Claims of a holder one after the other, as in `hold`.
    PERFORM pg_advisory_xact_lock(h.hash)
    FROM (
        SELECT DISTINCT hashtextextended(current_schema() || ':' || t.caller, 5091) AS hash
        FROM unnest(callers, limits) AS t(caller, most) WHERE t.most IS NOT NULL
        ORDER BY 1 OFFSET 0
    ) h;
    lines := batch_lines(claims);
    PERFORM FROM bucket b WHERE b.id = ANY (lines.ids) ORDER BY b.id FOR NO KEY UPDATE;
    -- Statements of their own: they see what those had committed who held the locks before.
    SELECT array_agg(b ORDER BY b.id), array_agg(b.held ORDER BY b.id) INTO buckets, held
    FROM bucket b WHERE b.id = ANY (lines.ids);
    moment := clock_timestamp();
    SELECT array_agg(
        CASE WHEN t.most IS NOT NULL THEN (
            SELECT count(*) FROM reservation r WHERE r.holder = t.caller AND r.state = 'held' AND r.expires_at > moment
        ) END ORDER BY t.turn)
    INTO holds FROM unnest(callers, limits) WITH ORDINALITY AS t(caller, most, turn);
    -- Mostly there is enough for everybody, and nothing to choose.
    SELECT coalesce(bool_and(t.before + t.nth <= t.most), true) INTO fits
    FROM (
        SELECT u.before, u.most, row_number() OVER (PARTITION BY u.caller ORDER BY u.turn) AS nth
        FROM unnest(callers, limits, holds, treatments) WITH ORDINALITY AS u(caller, most, before, treatment, turn)
        WHERE u.treatment = 'decide'
    ) t WHERE t.most IS NOT NULL;
    fits := fits AND coalesce((
        SELECT bool_and(w.id IS NOT NULL AND b.capacity - b.sold - b.held >= w.quantity)
        FROM (
            SELECT t.id, sum(t.quantity) AS quantity FROM unnest(lines.ids, lines.quantities) AS t(id, quantity) GROUP BY t.id
        ) w LEFT JOIN bucket b ON b.id = w.id
    ), true);
    IF fits THEN
        SELECT array_agg(CASE t.treatment WHEN 'decide' THEN 'held' WHEN 'skip' THEN 'skipped' ELSE 'failed' END
            ORDER BY t.turn)
        INTO states FROM unnest(treatments) WITH ORDINALITY AS t(treatment, turn);
    ELSE
        SELECT array_agg(b.place::int ORDER BY t.nth) INTO indexes
        FROM unnest(lines.ids) WITH ORDINALITY AS t(id, nth)
        LEFT JOIN unnest((SELECT array_agg(x.id ORDER BY x.id) FROM bucket x WHERE x.id = ANY (lines.ids)))
            WITH ORDINALITY AS b(id, place) ON b.id = t.id;
        result := batch_states(
            callers, claims, treatments, limits, holds, buckets, held, lines.turns, lines.places, indexes,
            lines.quantities, moment);
        states := result.states;
        answers := result.answers;
        missing := result.missing;
    END IF;
    IF cardinality(missing) > 0 AND NOT p_final THEN
        SELECT json_agg(json_build_object('kind', b.kind, 'item', b.item, 'label', b.label, 'night', b.night))::text
        INTO v_overdue
        FROM bucket b
        WHERE b.id IN (
            SELECT l.bucket_id FROM reservation r JOIN reservation_line l ON l.reservation_id = r.id
            WHERE r.state = 'held' AND r.expires_at <= moment
        ) AND b.id IN (SELECT (buckets[m]).id FROM unnest(missing) AS t(m));
        IF v_overdue IS NOT NULL THEN
            word := 'overdue';
            answer := v_overdue;
            RETURN NEXT;
            RETURN;
        END IF;
    END IF;
    PERFORM write_batch(
        states, reservations, callers, ttls, totals, lines.turns, lines.ids, lines.quantities, lines.seats, moment);
    UPDATE request r
    SET state = CASE t.state WHEN 'held' THEN 'done' WHEN 'sold out' THEN 'done' ELSE t.state END,
        reservation_id = CASE t.state WHEN 'held' THEN t.reservation END, answer = t.answer, claim = NULL
    FROM unnest(callers, keys, states, reservations, answers) AS t(caller, key, state, reservation, answer)
    WHERE r.caller = t.caller AND r.key = t.key;
    UPDATE queue_partition q
    SET position = p_through, served = greatest(q.served, (SELECT max(n) FROM unnest(numbers) AS t(n)))
    WHERE q.partition = p_partition
    RETURNING q.served INTO v_served;
    word := 'decided';
    served_through := v_served;
    RETURN NEXT;
    RETURN QUERY
    SELECT t.place - 1, CASE t.state WHEN 'sold out' THEN 'refused' ELSE t.state END, NULL::bigint, t.answer,
        h.id, h.created, h.created + least(t.ttl, t.total), h.created + t.total
    FROM unnest(v_places, states, answers, reservations, ttls, totals)
        WITH ORDINALITY AS t(place, state, answer, reservation, ttl, total, turn)
    LEFT JOIN LATERAL (SELECT t.reservation AS id, micros(moment) AS created WHERE t.state = 'held') h ON true
    ORDER BY t.turn;
END
$$;
