//! The benchmark as a whole, in its shortest form: that it measures, not what.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod quick;
