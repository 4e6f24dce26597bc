-- Booking histories, version 1, made from the log and made again from it whenever in doubt. A change of shape is a new
-- version: a file of a version whose shape this code does not read is put aside, and a new one is filled from the log.
-- The histories themselves are in histories.sql, because there may be several copies of them.

-- The checkpoint, in the same file as its effect, so that both are committed, or lost, together.
CREATE TABLE checkpoint (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    position INTEGER NOT NULL CHECK (position >= 0),
    -- What the event at that position is known by: another log's event is another.
    anchor BLOB CHECK (length(anchor) = 32)
) STRICT;

INSERT INTO checkpoint (only, position) VALUES (1, 0);
