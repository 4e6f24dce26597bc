-- How far the cancellation of each concert's bookings is, for people to look at: `boxoffice status`. Derived: the
-- bookings themselves say what is left to do, and nothing is decided by this table.
CREATE TABLE IF NOT EXISTS concert_cancellations (
    concert_id uuid PRIMARY KEY,
    -- Of its ConcertCanceled.
    position bigint NOT NULL,
    -- Bookings that had tickets then.
    bookings bigint NOT NULL,
    -- Of these, how many have been cancelled, or had ended already.
    canceled bigint NOT NULL DEFAULT 0,
    started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    -- When the last booking was cancelled; money may still be on its way back.
    finished_at timestamptz
);

-- When the last of their tickets was free, and so all money was back.
ALTER TABLE concert_cancellations ADD COLUMN IF NOT EXISTS through_at timestamptz;
