-- Up to which position of the log no hold can end any more: each was paid, given back or has ended. Derived, and only to spare
-- whoever takes the office from looking at every concert there ever was: with 0, or no row, it looks at all of them.
CREATE TABLE IF NOT EXISTS hold_deadlines (
    -- There is one row.
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
);
