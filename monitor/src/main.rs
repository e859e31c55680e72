//! Serves health, metrics and the dashboard.

fn main() {}
