-- The log's name: the first line of every checkpoint. Made once for a database, and never changed.
CREATE TABLE IF NOT EXISTS seal_log (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    origin text NOT NULL
);

-- Public keys that ever signed a checkpoint. The private ones are in files outside, so that whoever may write here cannot sign.
CREATE TABLE IF NOT EXISTS seal_keys (
    -- As C2SP signed-note writes it: name, id, key.
    verifier text PRIMARY KEY,
    since timestamptz NOT NULL,
    -- The first tree it signed.
    since_size bigint NOT NULL
);

-- Every checkpoint, numbered without a gap: two sealers cannot both write the next.
CREATE TABLE IF NOT EXISTS seal_checkpoints (
    number bigint PRIMARY KEY CHECK (number >= 1),
    size bigint NOT NULL CHECK (size >= 0),
    root bytea NOT NULL CHECK (length(root) = 32),
    -- The signed note to the byte; the columns before only say the same for SQL.
    note text NOT NULL,
    signed_at timestamptz NOT NULL
);

-- Tiles of C2SP tlog-tiles. One that is not full yet grows in its row.
CREATE TABLE IF NOT EXISTS seal_tiles (
    level smallint NOT NULL CHECK (level >= 0),
    nth bigint NOT NULL CHECK (nth >= 0),
    hashes bytea NOT NULL CHECK (length(hashes) % 32 = 0 AND length(hashes) BETWEEN 32 AND 8192),
    PRIMARY KEY (level, nth)
);

-- Hashes do not get shorter by compression: do not try.
DO $$
BEGIN
    IF (SELECT attstorage FROM pg_attribute WHERE attrelid = 'seal_tiles'::regclass AND attname = 'hashes') <> 'e' THEN
        ALTER TABLE seal_tiles ALTER COLUMN hashes SET STORAGE EXTERNAL;
    END IF;
END $$;
