CREATE TABLE {histories} (
    -- Position of the BookingRequested: the same in every rebuild, and newest first over all.
    id INTEGER PRIMARY KEY,
    booking_id BLOB NOT NULL,
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
