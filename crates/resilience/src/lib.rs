//! How long to wait before trying again.
//!
//! Pure: no clock, no sleep, no I/O. The caller sleeps, and passes the randomness in where a test
//! wants it repeatable. A piece moves into this crate with its second user.

mod backoff;

pub use backoff::{Backoff, InvalidBackoff};
