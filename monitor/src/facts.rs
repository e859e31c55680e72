//! What is known at one instant, and how old it is. Written by the two observers (`database.rs`,
//! `cluster.rs`), read by every view.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kafka::inspector::{GroupDescription, Survey};
use store::{alarms, consumer_health, flight_recorder, offsets, producer_health, throughput};

/// Seconds that the rates speak of.
pub const RATE_SECONDS: u32 = 10;
/// Lag samples that are kept: two hours, one a second.
const LAG_SAMPLES: usize = 2 * 60 * 60;

/// What PostgreSQL said.
#[derive(Clone, Debug, Default)]
pub struct Tables {
    /// Heartbeats of consumers.
    pub consumers: Vec<consumer_health::Row>,
    /// Heartbeats of producers.
    pub producers: Vec<producer_health::Row>,
    /// Stored offsets of the watched target.
    pub offsets: Vec<offsets::Stored>,
    /// What was stored of each partition in the last [`RATE_SECONDS`].
    pub shares: Vec<throughput::Share>,
    /// The last minute, second by second.
    pub seconds: Vec<throughput::Sums>,
    /// Alarms that stand, the most important ones.
    pub alarms: Vec<alarms::Alarm>,
    /// How many stand in all.
    pub alarm_counts: alarms::Counts,
    /// Colour and pattern of each consumer.
    pub slots: Vec<flight_recorder::Slot>,
    /// Since when a recorder was there.
    pub recorded_since: Option<Timestamp>,
    /// When the last stored record of each partition was appended; asked now and then.
    pub last_appends: Arc<Vec<offsets::LastAppend>>,
}

/// The last good answer of one source, and since when there is none.
#[derive(Debug)]
pub struct Source<T> {
    /// With the monitor's clock when it was asked for; `None` before the first.
    pub answer: Option<(Timestamp, Arc<T>)>,
    /// Since when it answers without a failure in between; `None` while it does not.
    pub up_since: Option<Timestamp>,
    /// Since when it does not answer, and why; `None` while it does.
    pub failing: Option<(Timestamp, String)>,
}

impl<T> Clone for Source<T> {
    fn clone(&self) -> Self {
        Self { answer: self.answer.clone(), up_since: self.up_since, failing: self.failing.clone() }
    }
}

impl<T> Default for Source<T> {
    fn default() -> Self {
        Self { answer: None, up_since: None, failing: None }
    }
}

impl<T> Source<T> {
    /// Takes in an answer that was asked for at `asked_at`.
    pub fn note(&mut self, asked_at: Timestamp, answer: Result<T, String>) {
        match answer {
            Ok(answer) => {
                self.answer = Some((asked_at, Arc::new(answer)));
                self.up_since.get_or_insert(asked_at);
                self.failing = None;
            }
            Err(error) => {
                self.up_since = None;
                let since = self.failing.take().map_or(asked_at, |(since, _)| since);
                self.failing = Some((since, error));
            }
        }
    }

    /// Seconds for which it has answered, up to its last answer.
    pub fn up_for_s(&self) -> f64 {
        let span = self.up_since.zip(self.asked_at()).map(|(since, last)| last.duration_since(since).as_secs_f64());
        span.unwrap_or(0.0)
    }

    /// What it said, however old.
    pub fn latest(&self) -> Option<&T> {
        self.answer.as_ref().map(|(_, answer)| &**answer)
    }

    /// When that was asked for.
    pub fn asked_at(&self) -> Option<Timestamp> {
        self.answer.as_ref().map(|(at, _)| *at)
    }
}

/// Records that wait, at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LagSample {
    /// Monitor's clock.
    pub at: Timestamp,
    /// Over all partitions whose end is known.
    pub records: u64,
}

/// A group as its coordinator described it last.
#[derive(Clone, Debug)]
pub struct GroupAnswer {
    /// When it was asked.
    pub asked: Instant,
    /// When it was asked last with another answer.
    pub still_otherwise: Instant,
    /// The answer; `None` when it knows no such group.
    pub description: Option<GroupDescription>,
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// PostgreSQL.
    pub database: Source<Tables>,
    /// Kafka.
    pub cluster: Source<Survey>,
    /// The coordinators' descriptions, by group.
    pub groups: Arc<BTreeMap<String, GroupAnswer>>,
    /// How long the topic keeps its records; `None` while that is not known, or without end.
    pub retention: Option<Duration>,
    /// Since this process started, oldest first; behind a reference, since every reader takes a copy of the rest.
    pub lag: Arc<VecDeque<LagSample>>,
}

impl Facts {
    /// What PostgreSQL said last; nothing before its first answer.
    pub fn tables(&self) -> &Tables {
        static NOTHING: LazyLock<Tables> = LazyLock::new(Tables::default);
        self.database.latest().unwrap_or(&NOTHING)
    }

    /// The stored offset of a partition of the log that the topic is now; of any log while Kafka is not known.
    pub fn stored(&self, partition: i32) -> Option<&offsets::Stored> {
        let this_log = |stored: &&offsets::Stored| {
            self.cluster.latest().is_none_or(|s| s.topic_id == stored.topic_id && s.cluster_id == stored.cluster_id)
        };
        self.tables().offsets.iter().filter(this_log).find(|stored| stored.partition == partition)
    }

    /// How long Kafka keeps the first record that is not stored, at least; `None` while that is not known.
    /// Negative when it may be gone.
    pub fn retention_left(&self, partition: i32, now: Timestamp) -> Option<SignedDuration> {
        let stored = self.stored(partition)?;
        let of_this = |last: &&offsets::LastAppend| (last.log_id, last.partition) == (stored.log_id, partition);
        let appended_at = self.tables().last_appends.iter().find(of_this)?.at;
        Some(SignedDuration::try_from(self.retention?).ok()? - now.duration_since(appended_at))
    }

    /// Adds a sample of the lag, once both sources have answered.
    pub fn sample_lag(&mut self, at: Timestamp) {
        let (Some(_), Some(survey)) = (self.database.latest(), self.cluster.latest()) else { return };
        let records = survey.partitions.iter().filter_map(|partition| {
            let stored = self.stored(partition.partition)?;
            lag(partition.end, stored.next_offset)
        });
        let sample = LagSample { at, records: records.sum() };
        let lag = Arc::make_mut(&mut self.lag);
        lag.push_back(sample);
        while lag.len() > LAG_SAMPLES {
            lag.pop_front();
        }
    }
}

/// Records between a stored offset and the end of the log; 0 where the end was asked for earlier.
pub fn lag(end: Option<i64>, stored: i64) -> Option<u64> {
    end.map(|end| u64::try_from(end - stored).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_keeps_its_last_answer_and_since_when_it_is_silent() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let mut source = Source::default();
        source.note(at(1), Ok(7));
        source.note(at(2), Err("away".into()));
        source.note(at(3), Err("still".into()));
        assert_eq!(source.latest(), Some(&7));
        assert_eq!(source.failing, Some((at(2), "still".into())));
        source.note(at(4), Ok(8));
        source.note(at(9), Ok(9));
        assert_eq!((source.asked_at(), source.failing.clone(), source.up_for_s()), (Some(at(9)), None, 5.0));
    }

    #[test]
    fn lag_is_never_negative() {
        assert_eq!(lag(Some(5), 7), Some(0));
        assert_eq!(lag(Some(9), 7), Some(2));
        assert_eq!(lag(None, 7), None);
    }
}
