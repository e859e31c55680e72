//! Signals, named tasks, ordered stop with a deadline, readiness latches, exit codes.
