-- What one would write instead: three tables, and the counts of a concert in its row.
CREATE TABLE concerts (
    id uuid PRIMARY KEY,
    capacity integer NOT NULL,
    held integer NOT NULL DEFAULT 0,
    sold integer NOT NULL DEFAULT 0,
    price bigint NOT NULL,
    CHECK (held >= 0 AND sold >= 0 AND held + sold <= capacity)
) WITH (fillfactor = 10); -- updated by every booking: room on the page keeps those updates HOT

-- No foreign key to the concert: each booking would take a share lock on the one row that all of them update.
CREATE TABLE bookings (
    id uuid PRIMARY KEY,
    concert_id uuid NOT NULL,
    user_id uuid NOT NULL,
    qty integer NOT NULL,
    status text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 80); -- the status changes once

-- The booking history of a user.
CREATE INDEX bookings_of_user ON bookings (user_id, created_at);

CREATE TABLE payments (
    id uuid PRIMARY KEY,
    booking_id uuid NOT NULL UNIQUE REFERENCES bookings,
    status text NOT NULL,
    amount bigint NOT NULL,
    expires_at timestamptz NOT NULL,
    payment_key text
) WITH (fillfactor = 80);
