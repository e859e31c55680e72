//! Stores every event exactly once and journals every rebalance.
