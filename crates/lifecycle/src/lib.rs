//! How a program lives and ends: signals, named tasks, ordered stop with a deadline, readiness
//! latches, exit codes.
//!
//! ```text
//! SIGTERM ─> Shutdown ─> Tasks::run ─> stop the last spawned ─> … ─> stop the first spawned ─> exit code
//!               ^                          (each gets its own Shutdown; one deadline for all)
//!               └── a task that failed or panicked
//! ```
//!
//! Knows no task, no service and no HTTP.

pub mod exit;
mod readiness;
mod shutdown;
mod tasks;

pub use readiness::{Latch, Readiness};
pub use shutdown::Shutdown;
pub use tasks::{TaskError, Tasks};
