-- The copies that there are of a projection kept in Postgres: the live one, one that is being built beside it, and those
-- that were live before and are kept until somebody drops them.
CREATE TABLE IF NOT EXISTS projection_generations (
    projection text NOT NULL,
    generation integer NOT NULL CHECK (generation >= 1),
    -- Of what events do to the rows: a live generation of an older version is made anew by the next start.
    version integer NOT NULL,
    state text NOT NULL CHECK (state IN ('building', 'live', 'old')),
    -- How far one that is being built has come; the live one's is in `checkpoints`.
    position bigint NOT NULL CHECK (position >= 0),
    -- Of a live one: how often its rows were changed by others than its writer. Its writer and its readers remember rows,
    -- and forget them when this moves.
    revision bigint NOT NULL DEFAULT 1,
    changed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, generation)
);

-- One of each at a time.
CREATE UNIQUE INDEX IF NOT EXISTS projection_generations_one ON projection_generations (projection, state)
    WHERE state IN ('building', 'live');

-- Events that could not be projected; see `Parked`. What follows them in their row waits in the log.
CREATE TABLE IF NOT EXISTS projection_parked (
    projection text NOT NULL,
    aggregate_id uuid NOT NULL,
    aggregate_type text NOT NULL,
    position bigint NOT NULL,
    event_type text NOT NULL,
    error text NOT NULL,
    attempts integer NOT NULL CHECK (attempts >= 1),
    waiting bigint NOT NULL DEFAULT 0,
    parked_at timestamptz NOT NULL DEFAULT now(),
    tried_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, aggregate_id)
);

-- Rebuilds under way, of whatever projection, written by whoever rebuilds; for `boxoffice status`.
CREATE TABLE IF NOT EXISTS projection_rebuilds (
    projection text NOT NULL,
    -- The file, where it is one a process.
    place text NOT NULL,
    generation integer NOT NULL,
    phase text NOT NULL,
    position bigint NOT NULL,
    target bigint NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (projection, place)
);
