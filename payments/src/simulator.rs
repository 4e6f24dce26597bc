//! A stand-in for Toss Payments, for demos and tests: the endpoints that the adapter uses, with the service's field
//! names, statuses, words and error bodies, on books in memory or, as a provider does not forget, in a file. A client
//! library made for the service works against it.
//!
//! What differs from the service:
//!
//! - There is no payment window. Any `paymentKey` not seen before is accepted and bound to the order and amount it first
//!   comes with; another order or amount under it is refused. After a decline the same key may be tried again.
//! - A `paymentKey` that starts with `decline` is always declined, so that a demo can show it.
//! - Every payment is one by card. Amounts are won, unless the `boxoffice-currency` header of the confirmation names
//!   another currency. Receipts are links to nowhere.
//! - Any secret key is accepted, unless one is configured.
//! - Faults are set at `PUT /_sim`, shown with the counts at `GET /_sim`, and reset with them at
//!   `DELETE /_sim`; the books themselves stay. Where these are kept in a file, the faults are too: a provider in trouble
//!   is so still when its customer comes back. [`Faults`] says what each does.
//!
//! As the service does, it answers a repeated `Idempotency-Key` on the same path with the first answer, whatever the body,
//! and with 409 `IDEMPOTENT_REQUEST_PROCESSING` as long as there is none yet because the effect comes late. Answers that
//! are faults (status 500 and above) are not remembered. Words are Korean, or English where `Accept-Language` asks for it.
//!
//! Each change of a payment is announced by a webhook (`PAYMENT_STATUS_CHANGED`), on the service's headers and tried as
//! often as there, but sooner: four and a half minutes in all. Those not taken yet when the simulator's own process ends
//! are lost.

mod admin;
mod answer;
mod books;
mod call;
mod daybook;
mod faults;
mod idempotency;
mod korea;
mod language;
mod ledger;
mod record;
mod requests;
mod routes;
mod serve;
mod shown;
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
