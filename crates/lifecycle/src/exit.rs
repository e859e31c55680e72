//! Exit codes: what a supervisor, a script and a person can rely on.
//!
//! The names and numbers up to 78 are those of BSD's `sysexits.h`; 79 is ours. A supervisor restarts
//! on everything except [`OK`], [`USAGE`] and [`FENCED`]: another start cannot mend those.
//! A second signal during a stop ends the process at once with 128 + the signal's number.

/// It did what it was asked for, or stopped in order.
pub const OK: u8 = 0;

/// `EX_USAGE`: bad flags or bad configuration, found before any connection was made. Not restarted.
pub const USAGE: u8 = 64;

/// `EX_DATAERR`: the input that was given is wrong (a row of a recording that cannot be read).
pub const DATA: u8 = 65;

/// `EX_UNAVAILABLE`: a service that it cannot do without is not there.
pub const UNAVAILABLE: u8 = 69;

/// `EX_SOFTWARE`: a bug, such as a panic or a task that could not be stopped in time.
pub const SOFTWARE: u8 = 70;

/// `EX_TEMPFAIL`: it stopped with work undone that may succeed another time (events not acknowledged).
pub const TEMPORARY: u8 = 75;

/// Fenced: another process uses the same static instance id. Never restarted, since two processes
/// would go on throwing each other out.
pub const FENCED: u8 = 79;
