//! The adapter against the simulator, over real TCP.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod attention;
mod books;
mod cancel;
mod cashier;
mod confirm;
mod desk;
mod doubt;
mod due;
mod faults;
mod flood;
mod gated;
mod inbox;
mod kept;
mod late;
mod lookup;
mod made_up_keys;
mod races;
mod refusals;
mod shown;
mod till;
mod webhooks;
