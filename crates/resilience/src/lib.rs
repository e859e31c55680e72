//! Backoff: pure, time passed in, no I/O.
