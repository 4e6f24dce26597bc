//! Webhooks of the provider: what it tells us of changes that nobody here made or saw the answer of.
//!
//! Source: Toss Payments, `https://docs.tosspayments.com/reference/using-api/webhook-events`, `PAYMENT_STATUS_CHANGED`:
//! the body is `{eventType, createdAt, data: Payment}` and is *not signed* (only `payout.changed` and `seller.changed`
//! are). What is not answered with 200 is sent again up to 7 times, 1, 4, 16, … minutes apart
//! (`https://docs.tosspayments.com/guides/v2/webhook`).
//!
//! So anybody can send one, and none is believed: unless it says what the log says already, it is stored durably ([`Inbox`]),
//! answered, and then the provider is asked what became of that payment ([`Heeder`]). What follows, follows from the provider's answer. A forged webhook can
//! cost a few lookups, and nothing else. A lost one costs time, since [`crate::due`] finds out as well; only of a refund
//! that was made past us, in the provider's own dashboard, nobody else tells.

mod change;
mod heeder;
mod inbox;
mod rows;

pub use change::{Change, Heard, KEY_CHARS_MAX, STATUS_CHARS_MAX, WrongShape, read};
pub use heeder::{ANSWER_SLACK, ANSWER_WAIT, ASK_TRIES_MAX, Heeder};
pub(crate) use inbox::create;
pub use inbox::{ASK_AGAIN_PAUSE, CHANGES_MAX, Inbox, InboxError, SAID_WITHIN, STORE_WAIT_MAX, Taken, WAITING_MAX};
