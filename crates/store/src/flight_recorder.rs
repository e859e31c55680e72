//! The flight recorder's tables: what is seen from outside, the facts that verdicts are made of, and the verdicts.
//!
//! ```text
//! recorder ── observations ─┐
//! consumers ── journal, lives, gaps, ledger ──┴─ facts ─> verdicts::judge ─> verdicts ─> event_stream
//! monitors <── look_up, drills, notes
//! ```

mod drills;
mod facts;
mod look_up;
mod observations;
mod verdicts;

pub use drills::{Drill, begin as begin_drill, drills, end as end_drill};
pub use facts::{Earliest, News, carried_cut, load, load_batches, news, progress};
pub use look_up::{
    Brief, Cursor, Dark, Filter, Lag, LifeAt, Note, Owned, Quiet, Slot, Stretch, assigned_at, blind_spans, briefs,
    brokers_down, coordinator, count_owned, dark_between, filtered, lag_between, lag_records_at, lives_at,
    longest_wait, notes, owned_between, quiet_between, rebalance, recorded_since, rows_between, slots, stretches,
    topics_read,
};
pub use observations::{Observation, Seen, known_groups, last_observations};
pub use verdicts::{Written, differences, write_note};

/// With more than this between two spans of recorders, in seconds, nobody recorded.
const BLIND_AFTER_S: f64 = 3.0;

/// Millions of rows would be read for a window that nobody can look at: what is older is asked for in parts.
pub const MOST_ROWS: i64 = 20_000;
