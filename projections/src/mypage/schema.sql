-- Booking histories, version 1, made from the log and made again from it whenever in doubt. A change of shape is a new
-- version: a file of another version is put aside, and a new one is filled from the log.

-- The checkpoint, in the same file as its effect, so that both are committed, or lost, together.
CREATE TABLE checkpoint (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL CHECK (position >= 0),
    -- What the event at that position is known by: another log's event is another.
    anchor BLOB CHECK (length(anchor) = 32)
) STRICT;

INSERT INTO checkpoint (only, position) VALUES (1, 0);

CREATE TABLE histories (
    -- Position of the BookingRequested: the same in every rebuild, and newest first over all.
    id INTEGER PRIMARY KEY,
    -- Unique: later events of the booking and its payment find the row by it.
    booking_id BLOB NOT NULL UNIQUE,
    concert_id BLOB NOT NULL,
    user_id BLOB NOT NULL,
    -- Name of the latest event of the booking or its payment.
    status TEXT NOT NULL,
    qty INTEGER NOT NULL CHECK (qty > 0),
    -- In minor units; known once the payment is requested, as are the two below.
    amount INTEGER CHECK (amount >= 0),
    currency TEXT,
    payment_id BLOB,
    -- Microseconds since 1970.
    requested_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    -- Position of that latest event.
    position INTEGER NOT NULL
) STRICT;

-- A user's own, newest first (SQLite appends the primary key, id, to every index); and all of theirs, to erase them.
CREATE INDEX histories_user ON histories (user_id);
