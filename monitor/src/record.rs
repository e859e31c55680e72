//! The record as it is asked for: who owned what from when to when, and how it was at one instant.
//!
//! ```text
//! flight_recorder tables ──look_up──> ownership (a time: lanes), instant (one instant), findings (what it amounts to)
//! ```

mod export;
mod findings;
mod instant;
mod ownership;

pub use export::export;
pub use findings::{Findings, findings};
pub use instant::{Assignments, assignments};
pub use ownership::{Drill, Record, record};

use jiff::Timestamp;

/// Milliseconds since the epoch.
fn ms(at: Timestamp) -> i64 {
    at.as_millisecond()
}
