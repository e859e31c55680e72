//! May this partition be read from its stored offset? A pure verdict over what the database and
//! the log say (exactly-once.md, "Taking a partition").

use kafka::inspector::Bounds;
use store::claim::{Predecessor, StoredOffset};

/// Claims in a row at one offset with records behind it, after which records are read one at a time.
pub const CAUTIOUS_AFTER: i32 = 5;
/// Claims in a row at one offset with records behind it, after which the partition is quarantined.
pub const QUARANTINE_AFTER: i32 = 20;

/// What the log says.
#[derive(Clone, Copy, Debug)]
pub struct Log {
    /// Its bounds.
    pub bounds: Bounds,
    /// Where the stored leader epoch ends on the leader; `None` when nothing is stored or the
    /// leader knows no such epoch.
    pub epoch_end: Option<i64>,
    /// Where a first claim would begin.
    pub start_offset: i64,
}

/// The verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Claim it, from this offset where nothing is stored yet.
    Take {
        /// Used for a first claim only.
        start_offset: i64,
        /// Whether records wait behind the stored offset.
        backlog: bool,
    },
    /// Already in quarantine.
    Quarantined(String),
    /// To be quarantined, with this reason.
    Quarantine(String),
    /// The target belongs to another group: a configuration error.
    ForeignGroup {
        /// Whose it is.
        group_id: String,
    },
}

/// Decides. `predecessor` is an older log under the same topic name.
pub fn judge(group_id: &str, stored: Option<&StoredOffset>, predecessor: Option<&Predecessor>, log: &Log) -> Verdict {
    let Bounds { start, end } = log.bounds;
    let Some(stored) = stored else {
        return match predecessor {
            Some(old) => Verdict::Quarantine(format!(
                "topic re-created: its id was {}, read up to offset {}; nothing of the new log is read until it is adopted",
                old.topic_id, old.next_offset
            )),
            None => Verdict::Take { start_offset: log.start_offset, backlog: end > log.start_offset },
        };
    };
    if stored.group_id != group_id {
        return Verdict::ForeignGroup { group_id: stored.group_id.clone() };
    }
    if let Some(reason) = &stored.quarantine_reason {
        return Verdict::Quarantined(reason.clone());
    }
    let next = stored.next_offset;
    if next < start {
        return Verdict::Quarantine(format!(
            "offset outside the log: stored offset {next}, but the log starts at {start}: {} records were deleted unread",
            start - next
        ));
    }
    if next > end {
        return Verdict::Quarantine(format!(
            "offset outside the log: stored offset {next}, but the log ends at {end}: it was truncated"
        ));
    }
    if let Some(epoch_end) = log.epoch_end.filter(|epoch_end| *epoch_end < next) {
        return Verdict::Quarantine(format!(
            "log truncated: leader epoch {} ends at offset {epoch_end} now, below the stored offset {next}",
            stored.leader_epoch
        ));
    }
    Verdict::Take { start_offset: next, backlog: end > next }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn stored(next_offset: i64) -> StoredOffset {
        StoredOffset {
            group_id: "g".into(),
            next_offset,
            leader_epoch: 3,
            claim: Uuid::nil(),
            owner: "c".into(),
            quarantine_reason: None,
        }
    }

    fn log(start: i64, end: i64) -> Log {
        Log { bounds: Bounds { start, end }, epoch_end: None, start_offset: start }
    }

    #[test]
    fn a_first_claim_begins_at_the_start_offset() {
        assert_eq!(judge("g", None, None, &log(5, 9)), Verdict::Take { start_offset: 5, backlog: true });
    }

    #[test]
    fn a_recreated_topic_is_quarantined_even_though_its_offsets_would_fit() {
        let old = Predecessor { topic_id: Uuid::nil(), next_offset: 7 };
        assert!(matches!(judge("g", None, Some(&old), &log(0, 100)), Verdict::Quarantine(_)));
    }

    #[test]
    fn offsets_outside_the_log_are_quarantined() {
        assert!(matches!(judge("g", Some(&stored(4)), None, &log(5, 9)), Verdict::Quarantine(_)));
        assert!(matches!(judge("g", Some(&stored(10)), None, &log(5, 9)), Verdict::Quarantine(_)));
        assert_eq!(judge("g", Some(&stored(9)), None, &log(5, 9)), Verdict::Take { start_offset: 9, backlog: false });
    }

    #[test]
    fn a_truncated_log_that_grew_again_is_found_by_its_epoch() {
        let log = Log { epoch_end: Some(6), ..log(0, 500) };
        assert!(matches!(judge("g", Some(&stored(7)), None, &log), Verdict::Quarantine(_)));
        assert!(matches!(judge("g", Some(&stored(6)), None, &log), Verdict::Take { .. }));
    }

    #[test]
    fn another_group_and_a_standing_quarantine_come_first() {
        let foreign = Verdict::ForeignGroup { group_id: "g".into() };
        assert_eq!(judge("other", Some(&stored(1)), None, &log(5, 9)), foreign);
        let held = StoredOffset { quarantine_reason: Some("why".into()), ..stored(6) };
        assert_eq!(judge("g", Some(&held), None, &log(5, 9)), Verdict::Quarantined("why".into()));
    }
}
