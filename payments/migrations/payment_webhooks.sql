-- Changes that the provider has told us of, or somebody in its name. Nothing in here is believed: a row says only that
-- the provider must be asked about that payment, once. It is written, and on disk, before the webhook is answered, and
-- stays for ever, so that the same change told again is known. What the log says itself is not in here.
--
-- The body is not kept: nobody believes it, and it holds what is the buyer's (card, receipt). Kept is what tells one
-- change from another, however often and in whatever order they come: which payment at the provider, what became of it,
-- and by which movement of money. Times and the ids of transmissions differ from one telling to the next.
CREATE TABLE IF NOT EXISTS payment_webhooks (
    -- Our name for the payment, the provider's orderId.
    payment_id uuid NOT NULL,
    payment_key text NOT NULL,
    status text NOT NULL,
    -- The provider's lastTransactionKey; empty where no money ever moved.
    transaction_key text NOT NULL,
    received_at timestamptz NOT NULL DEFAULT now(),
    due_at timestamptz NOT NULL DEFAULT now(),
    -- When what follows from it was done; NULL while it was not.
    heeded_at timestamptz,
    -- More changes were told of than are kept: this row stands for them too, whatever it says itself.
    stands_for_more boolean NOT NULL DEFAULT false,
    tries integer NOT NULL DEFAULT 0,
    -- Why it could not be heeded yet or, on a heeded one, why a person must look.
    last_error text,
    PRIMARY KEY (payment_id, payment_key, status, transaction_key)
);

-- What is to be heeded next.
CREATE INDEX IF NOT EXISTS payment_webhooks_due ON payment_webhooks (due_at) WHERE heeded_at IS NULL;

-- What a person must look at.
CREATE INDEX IF NOT EXISTS payment_webhooks_for_a_person ON payment_webhooks (received_at)
    WHERE heeded_at IS NOT NULL AND last_error IS NOT NULL;
