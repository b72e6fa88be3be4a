-- The waiting line: requests that wait for their turn, and the transaction that decides on many of them.
-- A statement ends with a semicolon before an empty line; a function's body has no empty lines.

-- How many requests a line has accepted. Apart from what its owner writes, so that neither waits for the other.
CREATE TABLE queue_intake (
    partition int PRIMARY KEY CHECK (partition >= 0),
    accepted bigint NOT NULL DEFAULT 0 CHECK (accepted >= 0)
) WITH (fillfactor = 10);

-- How far a line is served, and by the holder of which fencing token.
CREATE TABLE queue_partition (
    partition int PRIMARY KEY CHECK (partition >= 0),
    token bigint NOT NULL DEFAULT 0,
    position text COLLATE "C" NOT NULL DEFAULT '0-0',
    served bigint NOT NULL DEFAULT 0 CHECK (served >= 0)
) WITH (fillfactor = 10);

CREATE TRIGGER token_only_rises BEFORE UPDATE OF token ON queue_partition FOR EACH ROW WHEN (NEW.token < OLD.token)
    EXECUTE FUNCTION refuse_change('an owner with a greater token was here');

CREATE INDEX request_in_line ON request (partition, number) WHERE state = 'queued';

CREATE INDEX request_in_line_of ON request (caller) WHERE state = 'queued';

-- Up to which number all have had their turn, or have left. Nobody waits: up to the last.
CREATE FUNCTION line_served(p_partition int) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(q.served, coalesce(
        -- From where the line stands: the index is full of those that were decided a moment ago.
        (SELECT r.number - 1 FROM request r
            WHERE r.state = 'queued' AND r.partition = p_partition AND r.number > q.served
            ORDER BY r.number LIMIT 1),
        i.accepted))
    FROM queue_partition q JOIN queue_intake i ON i.partition = q.partition WHERE q.partition = p_partition
$$;

-- The partitions, made if there are none: for each, up to which number all have had their turn, or have left.
CREATE FUNCTION prepare_partitions(p_count int) RETURNS bigint[] LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM queue_partition) THEN
        PERFORM pg_advisory_xact_lock(hashtextextended(current_schema() || ':partitions', 5092));
        IF NOT EXISTS (SELECT FROM queue_partition) THEN
            INSERT INTO queue_partition (partition) SELECT generate_series(0, p_count - 1);
            INSERT INTO queue_intake (partition) SELECT generate_series(0, p_count - 1);
        END IF;
    END IF;
    RETURN ARRAY(SELECT line_served(q.partition) FROM queue_partition q ORDER BY q.partition);
END
$$;

-- How many wait in each line, at most, and for how long the first has, in microseconds.
CREATE FUNCTION line_lags() RETURNS TABLE (waiting bigint, oldest bigint) LANGUAGE sql STABLE AS $$
    SELECT greatest(i.accepted - line_served(q.partition), CASE WHEN o.queued_at IS NOT NULL THEN 1 ELSE 0 END),
        greatest(0, micros(clock_timestamp()) - micros(o.queued_at))
    FROM queue_partition q JOIN queue_intake i ON i.partition = q.partition
    LEFT JOIN LATERAL (
        SELECT r.queued_at FROM request r WHERE r.state = 'queued' AND r.partition = q.partition ORDER BY r.number LIMIT 1
    ) o ON true
    ORDER BY q.partition
$$;

-- Writes requests down as waiting. One row for each, by its place in the arrays: 'waiting' with its number; 'decided' with
-- what it was answered; 'reused', 'inProgress'; 'full' and 'callerLimit' with a count. No two have one caller and key.
CREATE FUNCTION enqueue(
    p_partition int, p_callers text[], p_keys text[], p_operations text[], p_fingerprints text[], p_claims text[],
    p_waiting bigint, p_per_caller bigint
) RETURNS TABLE (place bigint, outcome text, line_number bigint, stored text, reservation text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    v_served bigint;
    v_first bigint;
BEGIN
    -- Numbers are given in the order of commits: whoever comes next waits here.
    SELECT q.accepted INTO v_first FROM queue_intake q WHERE q.partition = p_partition FOR NO KEY UPDATE;
    IF v_first IS NULL THEN
        RAISE EXCEPTION 'there is no partition %: prepare the partitions first', p_partition USING ERRCODE = 'RS002';
    END IF;
    v_served := line_served(p_partition);
    RETURN QUERY
    WITH asked AS (
        SELECT t.* FROM unnest(p_callers, p_keys, p_operations, p_fingerprints, p_claims) WITH ORDINALITY
            AS t(caller, key, operation, fingerprint, claim, place)
    ), known AS MATERIALIZED (
        SELECT a.place, r.*, r.operation = a.operation AND r.fingerprint = a.fingerprint AS is_same
        FROM asked a,
            LATERAL (SELECT * FROM request x WHERE x.caller = a.caller AND x.key = a.key OFFSET 0) r
    ), fresh AS (
        SELECT a.* FROM asked a LEFT JOIN known k ON k.place = a.place
        WHERE k.place IS NULL OR k.is_same AND k.state IN ('refused', 'withdrawn', 'skipped', 'failed')
    ), own AS (
        SELECT c.caller, (SELECT count(*) FROM request r WHERE r.caller = c.caller AND r.state = 'queued') AS waiting
        FROM (SELECT DISTINCT f.caller FROM fresh f) c
    ), judged AS (
        SELECT f.*, o.waiting + row_number() OVER (PARTITION BY f.caller ORDER BY f.place) - 1 AS own_waiting
        FROM fresh f JOIN own o ON o.caller = f.caller
    ), counted AS MATERIALIZED (
        SELECT j.*, v_first + row_number() OVER (ORDER BY j.place) AS number
        FROM judged j WHERE j.own_waiting < p_per_caller
    ), written AS (
        INSERT INTO request AS r (caller, key, operation, fingerprint, state, partition, number, claim, queued_at)
        SELECT j.caller, j.key, j.operation, j.fingerprint, 'queued', p_partition, j.number, j.claim, clock_timestamp()
        FROM counted j
        WHERE j.number <= v_served + p_waiting
        -- As everywhere else, whatever the database's collation.
        ORDER BY j.caller COLLATE "C", j.key COLLATE "C"
        ON CONFLICT (caller, key) DO UPDATE
        SET state = 'queued', partition = excluded.partition, number = excluded.number, claim = excluded.claim,
            queued_at = excluded.queued_at,
            answer = NULL
        WHERE r.state IN ('refused', 'withdrawn', 'skipped', 'failed') AND r.operation = excluded.operation
            AND r.fingerprint = excluded.fingerprint
        RETURNING r.caller, r.key, r.number
    ), moved AS (
        -- By what was written: who is refused has no number.
        UPDATE queue_intake q SET accepted = (SELECT max(w.number) FROM written w)
        WHERE q.partition = p_partition AND EXISTS (SELECT FROM written)
    )
    SELECT a.place,
        CASE
            WHEN w.number IS NOT NULL THEN 'waiting'
            WHEN j.place IS NOT NULL AND j.own_waiting >= p_per_caller THEN 'callerLimit'
            WHEN c.number > v_served + p_waiting THEN 'full'
            -- Written by somebody else between the look and the insertion.
            WHEN j.place IS NOT NULL THEN 'inProgress'
            WHEN NOT k.is_same THEN 'reused'
            WHEN k.state = 'queued' THEN 'waiting'
            ELSE 'decided'
        END,
        coalesce(
            w.number, CASE WHEN j.own_waiting >= p_per_caller THEN j.own_waiting END, c.number - 1 - v_served,
            CASE WHEN k.state = 'queued' THEN k.number END),
        k.answer,
        CASE WHEN k.state = 'done' AND k.reservation_id IS NOT NULL THEN reservation_json(k.reservation_id) END
    FROM asked a
    LEFT JOIN known k ON k.place = a.place
    LEFT JOIN judged j ON j.place = a.place
    LEFT JOIN counted c ON c.place = a.place
    LEFT JOIN written w ON w.caller = a.caller AND w.key = a.key
    ORDER BY a.place;
END
$$;

-- Makes the holder of a token the owner: 'taken' with where to go on, or 'staleFence' with the greater token.
CREATE FUNCTION take_partition(
    p_partition int, p_token bigint, OUT outcome text, OUT v_token bigint, OUT v_position text, OUT v_served bigint
) LANGUAGE plpgsql AS $$
BEGIN
    UPDATE queue_partition q SET token = p_token WHERE q.partition = p_partition AND q.token <= p_token
    RETURNING 'taken', q.token, q.position, q.served INTO outcome, v_token, v_position, v_served;
    IF outcome IS NULL THEN
        SELECT 'staleFence', q.token INTO outcome, v_token FROM queue_partition q WHERE q.partition = p_partition;
    END IF;
END
$$;

-- Takes a waiting request out of its line. Any other stays as it is.
CREATE FUNCTION withdraw(p_caller text, p_key text) RETURNS void LANGUAGE sql AS $$
    UPDATE request SET state = 'withdrawn', claim = NULL
    WHERE caller = p_caller AND key = p_key AND state = 'queued'
$$;

-- What requests have come to: no row for those that were never in a line.
CREATE FUNCTION queued_requests(p_callers text[], p_keys text[])
    RETURNS TABLE (place bigint, state text, partition int, number bigint, stored text, reservation text)
    LANGUAGE sql VOLATILE AS $$
    SELECT t.place, r.state, r.partition, r.number, r.answer,
        CASE WHEN r.reservation_id IS NOT NULL THEN reservation_json(r.reservation_id) END
    FROM unnest(p_callers, p_keys) WITH ORDINALITY AS t(caller, key, place),
        LATERAL (SELECT * FROM request x WHERE x.caller = t.caller AND x.key = t.key OFFSET 0) r
    WHERE r.number IS NOT NULL
    ORDER BY t.place
$$;
