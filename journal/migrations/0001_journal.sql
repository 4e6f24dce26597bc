-- The journal: the one log of everything that has happened. The shape of `events` and `snapshots` is that of
-- postgres-es, so that any cqrs-es tool opens them; `position` and `recorded_at` are added.
CREATE TABLE events (
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    sequence bigint NOT NULL CHECK (sequence >= 1),
    event_type text NOT NULL,
    event_version text NOT NULL,
    -- json, not jsonb: the text survives to the byte, and the mirror carries the same bytes.
    payload json NOT NULL,
    metadata json NOT NULL,
    -- Place in the whole log: 1, 2, 3 … without a gap, in commit order.
    position bigint NOT NULL CHECK (position >= 1),
    -- Never decreases with position: it is taken under the lock on journal_head.
    recorded_at timestamptz NOT NULL,
    -- Optimistic concurrency: two writers who saw the same state cannot both append to it.
    PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);

-- Every reader of the log asks `position > $1 ORDER BY position`.
CREATE UNIQUE INDEX events_position ON events (position);

CREATE TABLE snapshots (
    aggregate_type text NOT NULL,
    aggregate_id text NOT NULL,
    last_sequence bigint NOT NULL CHECK (last_sequence >= 0),
    current_snapshot bigint NOT NULL CHECK (current_snapshot >= 0),
    payload json NOT NULL,
    PRIMARY KEY (aggregate_type, aggregate_id, last_sequence)
);

-- One snapshot an aggregate, the newest: cqrs-es reads whichever row it finds.
CREATE UNIQUE INDEX snapshots_aggregate ON snapshots (aggregate_type, aggregate_id);

-- The single row whose lock orders all appends. It is held until commit, so commit order is position order and a
-- rollback leaves no hole.
CREATE TABLE journal_head (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    position bigint NOT NULL,
    recorded_at timestamptz NOT NULL
) WITH (fillfactor = 10); -- updated with every batch: room on the page keeps those updates HOT

INSERT INTO journal_head (position, recorded_at) VALUES (0, '-infinity');

-- How far each follower of the log has come; moved by compare-and-set in the transaction of its effect.
CREATE TABLE checkpoints (
    name text PRIMARY KEY,
    position bigint NOT NULL CHECK (position >= 0)
) WITH (fillfactor = 10);

-- Makes an append fail as a whole when a checkpoint it carries was not where it had to be.
CREATE FUNCTION journal_require_moves(moved bigint, wanted bigint) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF moved <> wanted THEN
        RAISE EXCEPTION 'a checkpoint is not where this unit of work expects it'
            USING ERRCODE = 'BX001';
    END IF;
    RETURN true;
END $$;
