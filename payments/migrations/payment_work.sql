-- Payments that something must still be done for. Derived from the log, so it can be dropped and is filled again when
-- its checkpoint is set to 0.
--   settle: a try whose outcome nobody wrote down
--   refund: money that must go back
--   verify: a try that was given up; looked at once more when the buyer's time at the provider is over
CREATE TABLE IF NOT EXISTS payment_work (
    payment_id uuid NOT NULL,
    kind text NOT NULL CHECK (kind IN ('settle', 'refund', 'verify')),
    due_at timestamptz NOT NULL,
    tries integer NOT NULL DEFAULT 0,
    last_error text,
    PRIMARY KEY (payment_id, kind)
);

-- What is due next of each kind: they are attended to apart, so that none keeps another waiting.
DROP INDEX IF EXISTS payment_work_due;
CREATE INDEX IF NOT EXISTS payment_work_due_of_kind ON payment_work (kind, due_at);

-- How often the provider refused for certain. Each such refusal is remembered under its idempotency key, so the next try
-- needs another one.
ALTER TABLE payment_work ADD COLUMN IF NOT EXISTS refusals integer NOT NULL DEFAULT 0;

-- When it was first due; unlike due_at it stays, so that somebody can see how long it has been waiting.
ALTER TABLE payment_work ADD COLUMN IF NOT EXISTS since timestamptz NOT NULL DEFAULT now();

-- No rule is for what the provider says: a person must look, and `last_error` says why. It goes when the payment comes to an
-- outcome after all.
ALTER TABLE payment_work ADD COLUMN IF NOT EXISTS for_a_person boolean NOT NULL DEFAULT false;
