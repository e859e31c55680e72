//! The HTTP server of every program: accept loop, time-outs, body limits, problem+json, drained stop.
//! Knows no route but the three that operate a process ([`ops`]).
//!
//! ```text
//! bind ─> serve ─> accept ─> connection (header time-out) ─> answer ─> warp filter
//!           │                    at most Limits::connections    │
//!           └─ stop: no new ones, in flight finish,             ├─ body limit, time limit, panic
//!              the rest is cut when Limits::drain is over       └─ errors become problem+json
//! ```
//!
//! warp is taken as a service, without its own server, which has no time-outs, panics on a taken
//! port, and does not end while a stream of events is open.

mod answer;
mod ops;
mod problem;
mod requests;
mod server;

use std::time::Duration;

pub use ops::{ops, read_only};
pub use problem::{CONTENT_TYPE as PROBLEM_JSON, Problem};
pub use server::{BindError, bind, serve};

/// What one server gives to its clients, at most.
#[derive(Debug, Clone)]
pub struct Limits {
    /// From the first byte awaited to the end of a request's head; also how long an idle
    /// connection is kept.
    pub header_read: Duration,
    /// From a request's head to its answer's. The body of an answer (a stream of events) may take
    /// longer.
    pub request: Duration,
    /// How long a client may take nothing of what is sent to it. A stream of events has no end, so a
    /// reader that stopped reading would keep its connection for ever.
    pub write_stall: Duration,
    /// Bytes of a request's body; more is answered with 413.
    pub body_bytes: usize,
    /// Connections served at a time; further ones wait in the kernel's queue.
    pub connections: usize,
    /// How long a stop waits for answers in flight before it cuts them.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(10),
            request: Duration::from_secs(30),
            write_stall: Duration::from_secs(30),
            body_bytes: 1 << 20,
            connections: 1024,
            drain: Duration::from_secs(2),
        }
    }
}
