-- Version 1 of the schema: tables, and what they refuse whoever writes.
--
-- Times are milliseconds since 1970. Ids of reservations are the 16 bytes of their UUIDs.

-- What is contended for. By bytes, as the library compares.
CREATE TABLE bucket (
    id INTEGER PRIMARY KEY,
    item TEXT NOT NULL CHECK (item <> ''),
    kind TEXT NOT NULL CHECK (kind IN ('counted', 'seat', 'night')),
    label TEXT NOT NULL DEFAULT '',
    night TEXT NOT NULL DEFAULT '',
    capacity INTEGER NOT NULL CHECK (capacity BETWEEN 0 AND 1000000000),
    held INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    sold INTEGER NOT NULL DEFAULT 0 CHECK (sold >= 0),
    version INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    CONSTRAINT no_oversell CHECK (held + sold <= capacity),
    CONSTRAINT seat_is_one CHECK (kind <> 'seat' OR capacity <= 1),
    CONSTRAINT seat_is_labelled CHECK ((kind = 'seat') = (label <> '')),
    CONSTRAINT night_is_dated CHECK ((kind = 'night') = (night <> '')),
    CONSTRAINT bucket_named_once UNIQUE (item, label, night)
) STRICT;

CREATE TABLE reservation (
    id BLOB NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    holder TEXT NOT NULL CHECK (holder <> ''),
    state TEXT NOT NULL CHECK (state IN ('held', 'confirmed', 'cancelled', 'expired', 'returned')),
    expires_at INTEGER NOT NULL,
    hard_deadline INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    resolved_at INTEGER,
    CONSTRAINT held_until_the_deadline CHECK (expires_at <= hard_deadline),
    CONSTRAINT resolved_unless_held CHECK ((state = 'held') = (resolved_at IS NULL))
) STRICT, WITHOUT ROWID;

CREATE INDEX reservation_due ON reservation (expires_at, id) WHERE state = 'held';

CREATE INDEX reservation_of_holder ON reservation (holder, expires_at) WHERE state = 'held';

CREATE TABLE reservation_line (
    reservation_id BLOB NOT NULL REFERENCES reservation,
    bucket_id INTEGER NOT NULL REFERENCES bucket,
    quantity INTEGER NOT NULL CHECK (quantity > 0),
    exclusive INTEGER NOT NULL CHECK (exclusive IN (0, 1)),
    state TEXT NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'sold', 'ended')),
    PRIMARY KEY (reservation_id, bucket_id),
    CONSTRAINT exclusive_is_one CHECK (exclusive = 0 OR quantity = 1)
) STRICT, WITHOUT ROWID;

-- A seat is in one living line, whatever the counters say.
CREATE UNIQUE INDEX seat_taken_once ON reservation_line (bucket_id) WHERE exclusive = 1 AND state <> 'ended';

CREATE INDEX reservation_line_held ON reservation_line (bucket_id) WHERE state = 'held';

CREATE TABLE ledger (
    sequence INTEGER PRIMARY KEY CHECK (sequence > 0),
    bucket_id INTEGER NOT NULL REFERENCES bucket,
    reservation_id BLOB REFERENCES reservation,
    phase INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('stock', 'hold', 'confirm', 'cancel', 'expire', 'return')),
    capacity_delta INTEGER NOT NULL DEFAULT 0,
    held_delta INTEGER NOT NULL DEFAULT 0,
    sold_delta INTEGER NOT NULL DEFAULT 0,
    fence INTEGER NOT NULL DEFAULT 0,
    actor TEXT NOT NULL,
    at INTEGER NOT NULL,
    CONSTRAINT stock_has_no_reservation CHECK ((phase = 0) = (reservation_id IS NULL)),
    CONSTRAINT phase_of_kind CHECK (
        phase = CASE kind WHEN 'stock' THEN 0 WHEN 'hold' THEN 1 WHEN 'return' THEN 3 ELSE 2 END
    )
) STRICT;

-- A hold is resolved once, whoever tries: confirm, cancel and the sweeper may race freely.
CREATE UNIQUE INDEX one_entry_per_phase ON ledger (reservation_id, bucket_id, phase) WHERE reservation_id IS NOT NULL;

CREATE INDEX ledger_of_bucket ON ledger (bucket_id, sequence);

-- Written with the effect that it names, in one transaction.
-- `queued` in a line; `refused` for a reason that may pass, while what is refused for good is `done`.
CREATE TABLE request (
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    operation TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('queued', 'done', 'refused', 'withdrawn', 'skipped', 'failed')),
    reservation_id BLOB,
    bucket_id INTEGER,
    partition INTEGER,
    number INTEGER,
    claim TEXT,
    answer TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (caller, key),
    CONSTRAINT done_with_an_answer CHECK (
        state <> 'done' OR (reservation_id IS NOT NULL) + (bucket_id IS NOT NULL) + (answer IS NOT NULL) = 1
    ),
    CONSTRAINT queued_in_a_line CHECK (
        state <> 'queued' OR partition IS NOT NULL AND number IS NOT NULL AND claim IS NOT NULL
    )
) STRICT, WITHOUT ROWID;

CREATE INDEX request_in_line ON request (partition, number) WHERE state = 'queued';

CREATE INDEX request_in_line_of ON request (caller) WHERE state = 'queued';

-- How many requests a line has accepted, how far it is served, and by the holder of which fencing token.
CREATE TABLE queue_partition (
    partition INTEGER PRIMARY KEY CHECK (partition >= 0),
    token INTEGER NOT NULL DEFAULT 0,
    position TEXT NOT NULL DEFAULT '0-0',
    served INTEGER NOT NULL DEFAULT 0,
    accepted INTEGER NOT NULL DEFAULT 0 CHECK (served <= accepted)
) STRICT;

CREATE TRIGGER token_only_rises BEFORE UPDATE OF token ON queue_partition WHEN NEW.token < OLD.token
BEGIN
    SELECT RAISE(ABORT, 'an owner with a greater token was here');
END;

CREATE INDEX request_by_age ON request (created_at);

-- What follows holds also for those who write without `PRAGMA foreign_keys`, and for `INSERT OR REPLACE`, which deletes
-- what is in its way without asking the triggers of a deletion.

CREATE TRIGGER ledger_is_not_changed BEFORE UPDATE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is only added to');
END;

CREATE TRIGGER ledger_is_not_deleted BEFORE DELETE ON ledger
BEGIN
    SELECT RAISE(ABORT, 'the ledger is only added to');
END;

CREATE TRIGGER ledger_is_not_replaced BEFORE INSERT ON ledger
WHEN EXISTS (SELECT 1 FROM ledger WHERE sequence = NEW.sequence)
    OR EXISTS (
        SELECT 1 FROM ledger
        WHERE reservation_id = NEW.reservation_id AND bucket_id = NEW.bucket_id AND phase = NEW.phase
    )
BEGIN
    SELECT RAISE(ABORT, 'the ledger is only added to');
END;

CREATE TRIGGER reservation_is_resolved_once BEFORE UPDATE ON reservation
WHEN NOT (
    OLD.id = NEW.id AND OLD.holder = NEW.holder
    AND (
        OLD.state = NEW.state AND OLD.resolved_at IS NEW.resolved_at
        OR OLD.state = 'held' AND NEW.state IN ('confirmed', 'cancelled', 'expired')
        OR OLD.state = 'confirmed' AND NEW.state = 'returned'
    )
)
BEGIN
    SELECT RAISE(ABORT, 'a reservation is resolved once');
END;

CREATE TRIGGER reservation_is_not_deleted BEFORE DELETE ON reservation
BEGIN
    SELECT RAISE(ABORT, 'a reservation is not deleted');
END;

CREATE TRIGGER reservation_is_not_replaced BEFORE INSERT ON reservation
WHEN EXISTS (SELECT 1 FROM reservation WHERE id = NEW.id)
BEGIN
    SELECT RAISE(ABORT, 'there is a reservation with this id already');
END;

CREATE TRIGGER line_ends_once BEFORE UPDATE ON reservation_line
WHEN NOT (
    OLD.reservation_id = NEW.reservation_id AND OLD.bucket_id = NEW.bucket_id AND OLD.quantity = NEW.quantity
    AND OLD.exclusive = NEW.exclusive
    AND (OLD.state = NEW.state OR OLD.state = 'held' OR OLD.state = 'sold' AND NEW.state = 'ended')
)
BEGIN
    SELECT RAISE(ABORT, 'what was reserved stays as it was reserved');
END;

CREATE TRIGGER line_is_not_deleted BEFORE DELETE ON reservation_line
BEGIN
    SELECT RAISE(ABORT, 'what was reserved stays as it was reserved');
END;

CREATE TRIGGER line_of_a_seat_is_exclusive BEFORE INSERT ON reservation_line
WHEN NEW.exclusive IS NOT (SELECT kind = 'seat' FROM bucket WHERE id = NEW.bucket_id)
BEGIN
    SELECT RAISE(ABORT, 'a line is exclusive when it is a seat''s');
END;

CREATE TRIGGER line_is_not_replaced BEFORE INSERT ON reservation_line
WHEN EXISTS (
        SELECT 1 FROM reservation_line WHERE reservation_id = NEW.reservation_id AND bucket_id = NEW.bucket_id
    )
    OR NEW.exclusive = 1 AND EXISTS (
        SELECT 1 FROM reservation_line WHERE bucket_id = NEW.bucket_id AND exclusive = 1 AND state <> 'ended'
    )
BEGIN
    SELECT RAISE(ABORT, 'the line or the seat is taken');
END;

CREATE TRIGGER bucket_keeps_its_name BEFORE UPDATE ON bucket
WHEN NOT (
    OLD.id = NEW.id AND OLD.item = NEW.item AND OLD.kind = NEW.kind AND OLD.label = NEW.label AND OLD.night = NEW.night
)
BEGIN
    SELECT RAISE(ABORT, 'a bucket keeps its name');
END;

CREATE TRIGGER fence_only_rises BEFORE UPDATE OF fence ON bucket WHEN NEW.fence < OLD.fence
BEGIN
    SELECT RAISE(ABORT, 'a holder with a greater token was here');
END;

CREATE TRIGGER bucket_is_not_deleted BEFORE DELETE ON bucket
BEGIN
    SELECT RAISE(ABORT, 'a bucket is not deleted');
END;

CREATE TRIGGER bucket_is_not_replaced BEFORE INSERT ON bucket
WHEN EXISTS (SELECT 1 FROM bucket WHERE id = NEW.id OR item = NEW.item AND label = NEW.label AND night = NEW.night)
BEGIN
    SELECT RAISE(ABORT, 'there is a bucket with this name already');
END;
