//! Receipts: a booking's events with the proof that they are in the log, as one document that can be checked without us.

mod document;
mod make;
mod verify;

pub use self::{
    document::{Receipt, ReceiptEvent, VERSION},
    make::{RECEIPT_WAIT_MAX, ReceiptError},
    verify::{Proved, ReceiptFault, verify},
};
