//! The SQL migrations, in order. Append-only: a migration that has been released never changes.
//!
//! A program works with a database whose version is at least the one it was built for
//! ([`VERSION`]) and which still counts that version as compatible
//! (`schema_compatibility.oldest_compatible`). So additive migrations can run before the old
//! programs are replaced, and a breaking one says so by raising that number.

/// One migration.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// 1, 2, 3, … without holes.
    pub version: i32,
    /// `snake_case` name, as in the file's name.
    pub name: &'static str,
    /// The statements; run in one transaction.
    pub sql: &'static str,
}

/// Every migration, oldest first.
pub const ALL: [Migration; 9] = [
    Migration {
        version: 1,
        name: "exactly_once_ledger",
        sql: include_str!("../migrations/V1__exactly_once_ledger.sql"),
    },
    Migration { version: 2, name: "sensor_readings", sql: include_str!("../migrations/V2__sensor_readings.sql") },
    Migration { version: 3, name: "flight_recorder", sql: include_str!("../migrations/V3__flight_recorder.sql") },
    Migration { version: 4, name: "live_view", sql: include_str!("../migrations/V4__live_view.sql") },
    Migration { version: 5, name: "alarms", sql: include_str!("../migrations/V5__alarms.sql") },
    Migration { version: 6, name: "verdicts", sql: include_str!("../migrations/V6__verdicts.sql") },
    Migration { version: 7, name: "feed", sql: include_str!("../migrations/V7__feed.sql") },
    Migration { version: 8, name: "audiences", sql: include_str!("../migrations/V8__audiences.sql") },
    Migration { version: 9, name: "feed_upkeep", sql: include_str!("../migrations/V9__feed_upkeep.sql") },
];

/// The schema version that this build was made for.
pub const VERSION: i32 = ALL[ALL.len() - 1].version;

/// SQLSTATE that the fence raises for a stale owner.
pub const STALE_OWNER: &str = "MR001";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_no_holes() {
        assert!(ALL.iter().zip(1..).all(|(migration, expected)| migration.version == expected));
    }

    #[test]
    fn every_file_is_listed() {
        let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).expect("the folder").count();
        assert_eq!(files, ALL.len());
    }
}
