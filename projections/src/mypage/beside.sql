-- Beside the histories; also made in files that are older than these.

-- The copies of the histories that there are: the live one (the table `histories`, whichever it is), one that is being
-- built (`histories_g<generation>`), and those that were live before, kept until somebody drops them.
CREATE TABLE IF NOT EXISTS generations (
    generation INTEGER PRIMARY KEY,
    -- Of what events do to the rows.
    version INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('loading', 'following', 'live', 'old')),
    -- How far one that is being built has come; the live one's is the checkpoint.
    position INTEGER NOT NULL CHECK (position >= 0)
) STRICT;

-- Events that could not be projected; what follows them in their row waits in the log.
CREATE TABLE IF NOT EXISTS parked (
    -- The booking; the user; or the payment, where it cannot be told of which booking it is.
    row_id BLOB PRIMARY KEY,
    aggregate_type TEXT NOT NULL,
    aggregate_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    event_type TEXT NOT NULL,
    error TEXT NOT NULL,
    attempts INTEGER NOT NULL CHECK (attempts >= 1),
    waiting INTEGER NOT NULL DEFAULT 0,
    -- Microseconds since 1970.
    parked_at INTEGER NOT NULL
) STRICT;
