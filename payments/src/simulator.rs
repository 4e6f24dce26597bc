//! A stand-in for Toss Payments, for demos and tests: the endpoints that the adapter uses, with the service's field
//! names, statuses and error bodies, on books in memory or, as a provider does not forget, in a file.
//!
//! What differs from the service:
//!
//! - There is no payment window. Any `paymentKey` not seen before is accepted and bound to the order and amount it first
//!   comes with; another order or amount under it is refused. After a decline the same key may be tried again.
//! - A `paymentKey` that starts with `decline` is always declined, so that a demo can show it.
//! - Amounts are won, unless the `boxoffice-currency` header of the confirmation names another currency.
//! - Any secret key is accepted, unless one is configured.
//! - Faults are set at `PUT /_sim`, shown with the counts at `GET /_sim`, and reset with them at `DELETE /_sim`; the
//!   books themselves stay. An effect comes at once and the latency after it, so a caller that gives up waiting has
//!   always caused the effect.
//!
//! As the service does, it answers a repeated `Idempotency-Key` on the same path with the first answer, whatever the body.
//! Answers that are faults (status 500 and above) are not remembered.

mod admin;
mod answer;
mod books;
mod daybook;
mod faults;
mod idempotency;
mod ledger;
mod record;
mod requests;
mod routes;
mod serve;
mod state;
mod webhooks;

pub use daybook::ENTRIES_MAX;
pub use faults::{DUPLICATE_WEBHOOKS_MAX, Faults, LATENCY_MS_MAX};
pub use idempotency::ANSWERS_MAX;
pub use ledger::{Counts, PAYMENTS_MAX};
pub use record::CANCELS_MAX;
pub use routes::{BODY_BYTES_MAX, router};
pub use serve::{SHUTDOWN_MS_MAX, serve};
pub use state::Simulator;
pub use webhooks::{WEBHOOK_QUEUE_MAX, WEBHOOK_TRIES_MAX};
