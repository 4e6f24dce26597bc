-- What only a process knows about itself, a row a process, for `boxoffice status`. Unlogged: it is written anew every two
-- seconds and of no use after a crash, so it should cost the journal's disk nothing.
CREATE UNLOGGED TABLE IF NOT EXISTS process_vitals (
    process uuid PRIMARY KEY,
    written_at timestamptz NOT NULL,
    vitals json NOT NULL
) WITH (fillfactor = 10); -- room on the page keeps the updates HOT
