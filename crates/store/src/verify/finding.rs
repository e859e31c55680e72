//! What `verify` found, gathered so that its size does not grow with the damage.

use std::fmt;

use serde::Serialize;

/// Ranges that a finding names; the rest is counted.
const NAMED: usize = 5;

/// The class of a finding. The text form is what programs match on, so it is never renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// In a ledger entry, but neither a row nor a dead letter.
    Missing,
    /// Stored more than once by the same transaction.
    Doubled,
    /// A row or dead letter that no ledger entry accounts for.
    Outside,
    /// A ledger entry whose own counts are not what is there.
    Miscounted,
    /// Offsets that the ledger passes over without a word.
    Hole,
    /// Offsets that two ledger entries account for.
    Overlap,
    /// A ledger entry of a batch that does not move forward.
    Backwards,
    /// The stored offset is beyond the end of the ledger's chain.
    OffsetAhead,
    /// The stored offset is before the end of the ledger's chain.
    OffsetBehind,
    /// The ledger or the target has the partition, `stored_offsets` does not.
    NoStoredOffset,
    /// A dead letter marked as replayed that has no row.
    ReplayMissing,
    /// A dead letter marked as replayed that has several rows.
    ReplayDoubled,
    /// The same event (producer, run, sequence) at two places.
    EventDoubled,
    /// A sensor's sequence numbers of one run fall while its offsets rise.
    Disorder,
    /// A record whose tweet is not stored.
    TweetMissing,
    /// A tweet that is not in the feed of somebody who follows its author.
    FeedMissing,
}

impl Kind {
    /// The class in words, for people.
    pub const fn explanation(self) -> &'static str {
        match self {
            Self::Missing => "in the ledger, but neither a row nor a dead letter",
            Self::Doubled => "stored more than once by one transaction",
            Self::Outside => "rows or dead letters that no ledger entry accounts for",
            Self::Miscounted => "ledger entries whose counts are not what is there",
            Self::Hole => "passed over by the ledger",
            Self::Overlap => "accounted for by two ledger entries",
            Self::Backwards => "ledger entries of a batch that do not move forward",
            Self::OffsetAhead => "before the stored offset, but behind the end of the ledger",
            Self::OffsetBehind => "stored already, but behind the stored offset: they would be stored again",
            Self::NoStoredOffset => "the partition has no stored offset",
            Self::ReplayMissing => "dead letters marked as replayed, without their row",
            Self::ReplayDoubled => "dead letters replayed into several rows",
            Self::EventDoubled => "the same event (producer, run, sequence) as at another place",
            Self::Disorder => "a sensor's sequence falls where its offset rises",
            Self::TweetMissing => "records whose tweet is not stored",
            Self::FeedMissing => "tweets that followers of their author don't have",
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Doubled => "doubled",
            Self::Outside => "outside",
            Self::Miscounted => "miscounted",
            Self::Hole => "hole",
            Self::Overlap => "overlap",
            Self::Backwards => "backwards",
            Self::OffsetAhead => "offset_ahead",
            Self::OffsetBehind => "offset_behind",
            Self::NoStoredOffset => "no_stored_offset",
            Self::ReplayMissing => "replay_missing",
            Self::ReplayDoubled => "replay_doubled",
            Self::EventDoubled => "event_doubled",
            Self::Disorder => "disorder",
            Self::TweetMissing => "tweet_missing",
            Self::FeedMissing => "feed_missing",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Offsets of one partition: the first few ranges by name, all of them counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Places {
    /// The first ranges, half-open, in the order that they were found.
    pub ranges: Vec<(i64, i64)>,
    /// Ranges in all.
    pub range_count: u64,
    /// Offsets in all of them.
    pub offset_count: u64,
}

impl Places {
    /// Adds `from` to before `to`; an empty range is one place without an offset.
    pub fn add(&mut self, from: i64, to: i64) {
        self.offset_count += u64::try_from(to.saturating_sub(from)).unwrap_or(0);
        match self.ranges.last_mut() {
            // Neighbours that were found one by one are one range.
            Some(last) if last.1 == from && to > from && self.range_count as usize <= NAMED => last.1 = to,
            _ => {
                self.range_count += 1;
                if self.ranges.len() < NAMED {
                    self.ranges.push((from, to));
                }
            }
        }
    }
}

impl fmt::Display for Places {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, &(from, to)) in self.ranges.iter().enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match to.saturating_sub(from) {
                ..=1 => write!(f, "{comma}{from}")?,
                _ => write!(f, "{comma}{from}-{}", to - 1)?,
            }
        }
        let unnamed = self.range_count.saturating_sub(self.ranges.len() as u64);
        match unnamed {
            0 => {}
            1 => write!(f, " and 1 more range")?,
            _ => write!(f, " and {unnamed} more ranges")?,
        }
        if self.offset_count > 1 {
            write!(f, " ({} offsets)", self.offset_count)?;
        }
        Ok(())
    }
}

/// Everything of one class that is wrong with one partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The topic's name.
    pub topic: String,
    /// `kafka_logs.log_id`: which incarnation of the topic.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// The class.
    pub kind: Kind,
    /// Where.
    #[serde(flatten)]
    pub places: Places,
    /// The first case in words, where the places do not say it all.
    pub example: Option<String>,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic, log_id, partition, kind, places, example } = self;
        write!(f, "{topic} (log {log_id}) partition {partition}: {kind}: offset {places}: {}", kind.explanation())?;
        example.as_ref().map_or(Ok(()), |example| write!(f, "; {example}"))
    }
}

#[cfg(test)]
mod tests {
    use super::Places;

    #[test]
    fn neighbours_are_one_range_and_the_rest_is_counted() {
        let mut places = Places::default();
        for offset in [3, 4, 5, 9, 11, 13, 15, 17, 18, 19] {
            places.add(offset, offset + 1);
        }
        assert_eq!(places.to_string(), "3-5, 9, 11, 13, 15 and 3 more ranges (10 offsets)");
    }

    #[test]
    fn the_last_named_range_still_grows() {
        let mut places = Places::default();
        for offset in [1, 3, 5, 7, 9, 10] {
            places.add(offset, offset + 1);
        }
        assert_eq!(places.to_string(), "1, 3, 5, 7, 9-10 (6 offsets)");
    }
}
