//! Counts as PostgreSQL has them.

/// A count as PostgreSQL's `bigint`; counts past 2^63 stay at the bound.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// A `bigint` as a count; a negative one, which nothing of ours writes, as 0.
pub(crate) fn unsigned(count: i64) -> u64 {
    u64::try_from(count).unwrap_or(0)
}
