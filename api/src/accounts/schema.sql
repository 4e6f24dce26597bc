-- Who may sign in. The e-mail is a keyed hash: enough to be unique and to be found, not to be read.
CREATE TABLE IF NOT EXISTS credentials (
    user_id uuid PRIMARY KEY,
    email_hash bytea NOT NULL CONSTRAINT credentials_email UNIQUE,
    password_hash text NOT NULL, -- argon2id, PHC string
    role text NOT NULL CHECK (role IN ('fan', 'organizer'))
);

-- The key under which a user's name and e-mail are sealed in the log. Deleting the row erases the person.
CREATE TABLE IF NOT EXISTS user_keys (
    user_id uuid PRIMARY KEY,
    key bytea NOT NULL CHECK (length(key) = 32)
);

-- Who was erased, so that their tokens are void until they run out.
CREATE TABLE IF NOT EXISTS erased_users (
    user_id uuid PRIMARY KEY,
    erased_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS erased_users_at ON erased_users (erased_at);

-- What a client's idempotency key stands for: the body it came with (a keyed hash) and the id its effect goes by.
CREATE TABLE IF NOT EXISTS idempotency_keys (
    scope text NOT NULL,
    key text NOT NULL,
    fingerprint bytea NOT NULL,
    resource uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);

-- The installation's secret, where its environment does not give one.
CREATE TABLE IF NOT EXISTS installation (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    secret text NOT NULL
);
