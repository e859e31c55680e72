//! How a program lives and ends: signals, named tasks, ordered stop with a deadline, readiness
//! latches, exit codes, and the list of what must be there before.
//!
//! ```text
//! SIGTERM ─> Shutdown ─> Tasks::run ─> stop the last spawned ─> … ─> stop the first spawned ─> exit code
//!               ^                          (each gets its own Shutdown; one deadline for all)
//!               └── a task that failed or panicked
//! ```
//!
//! Knows no task, no service and no HTTP.

mod checklist;
pub mod exit;
mod output;
mod readiness;
mod shutdown;
mod tasks;

pub use checklist::Checklist;
pub use output::end_when_nobody_reads;
pub use readiness::{Latch, Readiness};
pub use shutdown::Shutdown;
pub use tasks::{TaskError, Tasks};
