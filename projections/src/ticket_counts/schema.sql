-- Ticket counts, version 1: one row a concert, made from the log and made again from it whenever in doubt. A change of
-- shape is a new version with a table of its own, never an ALTER; so this text only ever has to be run, not migrated.
CREATE TABLE IF NOT EXISTS ticket_counts_v1 (
    concert_id uuid PRIMARY KEY,
    organizer_id uuid NOT NULL,
    name text NOT NULL,
    venue text,
    starts_at timestamptz,
    -- Of one ticket, in minor units.
    price_amount bigint NOT NULL CHECK (price_amount >= 0),
    price_currency text NOT NULL,
    max_per_booking integer CHECK (max_per_booking >= 1),
    hold_seconds integer NOT NULL CHECK (hold_seconds >= 0),
    canceled boolean NOT NULL,
    capacity integer NOT NULL CHECK (capacity >= 0),
    held integer NOT NULL CHECK (held >= 0),
    sold integer NOT NULL CHECK (sold >= 0),
    available integer NOT NULL GENERATED ALWAYS AS (capacity - held - sold) STORED,
    -- Position of its registration: newest first, and the cursor of a page.
    registered_position bigint NOT NULL,
    -- Position of the last event that changed this row.
    position bigint NOT NULL,
    -- No oversell: the second guard, behind the aggregate itself.
    CONSTRAINT ticket_counts_v1_no_oversell CHECK (held + sold <= capacity)
) WITH (fillfactor = 70); -- rows are small and hot; room on the page keeps their versions together

-- Readers keep up by asking `position > $1`.
CREATE UNIQUE INDEX IF NOT EXISTS ticket_counts_v1_position ON ticket_counts_v1 (position);

-- Pages of the list, newest first, beyond what readers keep in memory.
CREATE UNIQUE INDEX IF NOT EXISTS ticket_counts_v1_registered ON ticket_counts_v1 (registered_position);
