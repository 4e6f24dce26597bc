//! The REST API: routes, and the one place where errors become statuses.

mod audits;
mod bookings;
mod caller;
mod concerts;
mod headers;
mod health;
mod histories;
mod json;
mod live;
mod observe;
mod openapi;
mod payments;
mod problem;
mod receipts;
mod router;
mod seals;
mod sessions;
mod state;
mod users;
mod webhooks;

pub(crate) use openapi::document;
pub(crate) use router::serve;
pub(crate) use state::{Api, Health, Parts};
