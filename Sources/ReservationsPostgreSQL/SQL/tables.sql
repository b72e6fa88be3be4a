-- Tables, and what they refuse whoever writes.
-- A statement ends with a semicolon before an empty line; a function's body has no empty lines.

-- What is contended for. Compared by bytes, as the library compares. Half of a page is room for updates that touch no index.
CREATE TABLE bucket (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item text COLLATE "C" NOT NULL CHECK (item <> ''),
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('counted', 'seat', 'night')),
    label text COLLATE "C" NOT NULL DEFAULT '',
    night text COLLATE "C" NOT NULL DEFAULT '',
    capacity bigint NOT NULL CHECK (capacity BETWEEN 0 AND 1000000000),
    held bigint NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold bigint NOT NULL DEFAULT 0 CHECK (sold >= 0),
    version bigint NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    CONSTRAINT no_oversell CHECK (held + sold <= capacity),
    CONSTRAINT seat_is_one CHECK (kind <> 'seat' OR capacity <= 1),
    CONSTRAINT seat_is_labelled CHECK ((kind = 'seat') = (label <> '')),
    CONSTRAINT night_is_dated CHECK ((kind = 'night') = (night <> '')),
    CONSTRAINT bucket_named_once UNIQUE (item, label, night)
) WITH (fillfactor = 50);

CREATE TABLE reservation (
    id uuid PRIMARY KEY,
    holder text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL CHECK (state IN ('held', 'confirmed', 'cancelled', 'expired', 'returned')),
    expires_at timestamptz NOT NULL,
    hard_deadline timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    resolved_at timestamptz,
    CONSTRAINT ends_by_its_deadline CHECK (expires_at <= hard_deadline),
    -- What is no number of microseconds (infinity, the year 294276) could not be answered, and one such row, being the oldest,
    -- would be the end of all sweeps.
    CONSTRAINT times_can_be_told CHECK (
        least(expires_at, hard_deadline, created_at, resolved_at) >= '0001-01-01 00:00:00+00'
        AND greatest(expires_at, hard_deadline, created_at, resolved_at) < '10000-01-01 00:00:00+00'
    ),
    CONSTRAINT resolved_or_held CHECK ((state = 'held') = (resolved_at IS NULL))
) WITH (fillfactor = 80);

CREATE INDEX reservation_due ON reservation (expires_at) WHERE state = 'held';

CREATE INDEX reservation_holds_of ON reservation (holder) WHERE state = 'held';

-- Held, then sold, then ended, or ended at once.
CREATE TABLE reservation_line (
    reservation_id uuid NOT NULL REFERENCES reservation,
    bucket_id bigint NOT NULL,
    quantity bigint NOT NULL CHECK (quantity > 0),
    exclusive boolean NOT NULL,
    state text COLLATE "C" NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'sold', 'ended')),
    PRIMARY KEY (reservation_id, bucket_id),
    CONSTRAINT exclusive_is_one CHECK (NOT exclusive OR quantity = 1)
) WITH (fillfactor = 80);

-- A seat is in one living line, whatever the counters say.
CREATE UNIQUE INDEX seat_taken_once ON reservation_line (bucket_id) WHERE exclusive AND state <> 'ended';

CREATE INDEX reservation_line_held ON reservation_line (bucket_id) WHERE state = 'held';

CREATE TABLE ledger (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    bucket_id bigint NOT NULL,
    reservation_id uuid REFERENCES reservation,
    phase smallint NOT NULL,
    kind text COLLATE "C" NOT NULL CHECK (kind IN ('stock', 'hold', 'confirm', 'cancel', 'expire', 'return')),
    capacity_delta bigint NOT NULL DEFAULT 0,
    held_delta bigint NOT NULL DEFAULT 0,
    sold_delta bigint NOT NULL DEFAULT 0,
    fence bigint NOT NULL DEFAULT 0,
    actor text COLLATE "C" NOT NULL,
    at timestamptz NOT NULL DEFAULT clock_timestamp()
        CONSTRAINT time_can_be_told CHECK (at BETWEEN '0001-01-01 00:00:00+00' AND '9999-12-31 00:00:00+00'),
    CONSTRAINT stock_has_no_reservation CHECK ((phase = 0) = (reservation_id IS NULL)),
    CONSTRAINT phase_of_kind CHECK (
        phase = CASE kind WHEN 'stock' THEN 0 WHEN 'hold' THEN 1 WHEN 'return' THEN 3 ELSE 2 END
    )
);

-- A hold is resolved once, whoever tries: confirm, cancel and the sweeper may race freely.
CREATE UNIQUE INDEX one_entry_per_phase ON ledger (reservation_id, bucket_id, phase) WHERE reservation_id IS NOT NULL;

CREATE INDEX ledger_of_bucket ON ledger (bucket_id, sequence);

-- Written with the effect that it names, in one transaction; or before it, when it waits in a line (`queued`). `refused`: for a
-- reason that may pass; what is refused for good is `done`.
CREATE TABLE request (
    caller text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    operation text COLLATE "C" NOT NULL,
    fingerprint text COLLATE "C" NOT NULL,
    state text COLLATE "C" NOT NULL
        CHECK (state IN ('queued', 'done', 'refused', 'withdrawn', 'skipped', 'failed')),
    reservation_id uuid,
    bucket_id bigint,
    partition int,
    number bigint,
    claim text,
    queued_at timestamptz,
    answer text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (caller, key),
    CONSTRAINT done_with_an_answer CHECK (state <> 'done' OR num_nonnulls(reservation_id, bucket_id, answer) = 1),
    CONSTRAINT queued_in_a_line CHECK (state <> 'queued' OR num_nonnulls(partition, number, claim, queued_at) = 4)
) WITH (fillfactor = 80);

CREATE INDEX request_by_age ON request (created_at);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is not allowed: %', TG_OP, TG_TABLE_NAME, TG_ARGV[0]
        USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME;
END
$$;

-- In place of foreign keys to buckets: those lock the bucket's row for each line and entry, and on a row that many want, each
-- such lock makes another list of lockers (a MultiXact), which halves what one item can sell. So buckets are never deleted nor
-- renamed, a line's bucket is looked up without a lock, and the audit looks for entries of buckets that never were.
CREATE TRIGGER bucket_stays BEFORE DELETE ON bucket
    FOR EACH ROW EXECUTE FUNCTION refuse_change('lines and the ledger refer to it');

CREATE TRIGGER buckets_stay BEFORE TRUNCATE ON bucket
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('lines and the ledger refer to it');

CREATE TRIGGER bucket_keeps_its_name BEFORE UPDATE OF id, item, kind, label, night ON bucket
    FOR EACH ROW EXECUTE FUNCTION refuse_change('lines and the ledger refer to it');

-- A fence that falls lets in those who lost their lock long ago.
CREATE TRIGGER fence_only_rises BEFORE UPDATE OF fence ON bucket FOR EACH ROW WHEN (NEW.fence < OLD.fence)
    EXECUTE FUNCTION refuse_change('a holder with a greater token was here');

CREATE TRIGGER ledger_is_append_only BEFORE UPDATE OR DELETE ON ledger
    FOR EACH ROW EXECUTE FUNCTION refuse_change('the ledger is only added to');

CREATE TRIGGER ledger_is_not_emptied BEFORE TRUNCATE ON ledger
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('the ledger is only added to');

-- The state machine, for those who write by hand. A reservation that has lines or entries is kept by their foreign keys.
CREATE TRIGGER reservation_resolved_once BEFORE UPDATE ON reservation FOR EACH ROW
    WHEN (NOT (
        OLD.id = NEW.id AND OLD.holder = NEW.holder
        AND (
            OLD.state = NEW.state AND OLD.resolved_at IS NOT DISTINCT FROM NEW.resolved_at
            OR OLD.state = 'held' AND NEW.state IN ('confirmed', 'cancelled', 'expired')
            OR OLD.state = 'confirmed' AND NEW.state = 'returned'
        )
    ))
    EXECUTE FUNCTION refuse_change('a reservation is resolved once');

CREATE TRIGGER reservations_stay BEFORE TRUNCATE ON reservation
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('what was reserved stays as it was reserved');

CREATE TRIGGER line_ends_once BEFORE UPDATE ON reservation_line FOR EACH ROW
    WHEN (NOT (
        OLD.quantity = NEW.quantity AND OLD.bucket_id = NEW.bucket_id AND OLD.reservation_id = NEW.reservation_id
        AND OLD.exclusive = NEW.exclusive
        AND (OLD.state = NEW.state OR OLD.state = 'held' OR OLD.state = 'sold' AND NEW.state = 'ended')
    ))
    EXECUTE FUNCTION refuse_change('what was reserved stays as it was reserved');

CREATE TRIGGER line_stays BEFORE DELETE ON reservation_line
    FOR EACH ROW EXECUTE FUNCTION refuse_change('what was reserved stays as it was reserved');

CREATE TRIGGER lines_stay BEFORE TRUNCATE ON reservation_line
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('what was reserved stays as it was reserved');

-- A new line is of a bucket that is there, and exclusive if that is a seat. The names are those of this schema: whoever writes by
-- hand may have another search_path, or a table of his own by one of these names.
DO $do$ BEGIN EXECUTE format($$
CREATE FUNCTION check_new_line() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF NEW.exclusive IS DISTINCT FROM (SELECT b.kind = 'seat' FROM %I.bucket b WHERE b.id = NEW.bucket_id) THEN
        RAISE EXCEPTION 'a line is of a bucket that is there, and exclusive if that is a seat'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$body$
$$, current_schema()); END $do$;

CREATE TRIGGER line_is_entered_right BEFORE INSERT ON reservation_line
    FOR EACH ROW EXECUTE FUNCTION check_new_line();

-- A line is sold and ends with its reservation, not before it. (How far a new line is, is left to the audit: to look that up
-- costs a hot item more than it is worth.)
DO $do$ BEGIN EXECUTE format($$
CREATE FUNCTION check_line_state() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    IF NEW.state IS DISTINCT FROM (
        SELECT CASE r.state WHEN 'held' THEN 'held' WHEN 'confirmed' THEN 'sold' ELSE 'ended' END
        FROM %I.reservation r WHERE r.id = NEW.reservation_id
    ) THEN
        RAISE EXCEPTION 'a line is as far as its reservation'
            USING ERRCODE = 'restrict_violation', CONSTRAINT = TG_NAME;
    END IF;
    RETURN NEW;
END
$body$
$$, current_schema()); END $do$;

CREATE TRIGGER line_follows_its_reservation BEFORE UPDATE OF state ON reservation_line FOR EACH ROW
    WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION check_line_state();

-- Requests are forgotten one by one, when they are old.
CREATE TRIGGER request_keeps_its_key BEFORE UPDATE OF caller, key, operation, fingerprint, created_at ON request
    FOR EACH ROW EXECUTE FUNCTION refuse_change('its answer belongs to that request');

CREATE TRIGGER requests_stay BEFORE TRUNCATE ON request
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change('requests that are repeated would be done again');

-- Microseconds since 1970, which a client turns into a date without rounding. STABLE as what it calls: else it is not inlined.
CREATE FUNCTION micros(t timestamptz) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT (extract(epoch FROM t) * 1000000)::bigint
$$;
