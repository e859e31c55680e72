//! What is known at one instant, and how old it is. Written by the observers (`database.rs`, `cluster.rs`,
//! `coordinator.rs`), read by every view. A partition is one of a topic: its number alone says nothing.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use kafka::inspector::{GroupDescription, PartitionView, Survey};
use store::{alarms, consumer_health, flight_recorder, offsets, producer_health, throughput};
use uuid::Uuid;

use crate::workload::Workload;

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
    /// The topic that each of their processes reads, by its start; an older build's are absent.
    pub topics_read: BTreeMap<Uuid, String>,
    /// Stored offsets of the watched topics' latest incarnations, in the order of the workloads.
    pub offsets: Vec<offsets::Stored>,
    /// What was stored of each partition in the last [`RATE_SECONDS`].
    pub shares: Vec<throughput::Share>,
    /// The last minute, second by second, over all targets.
    pub seconds: Vec<throughput::Sums>,
    /// The same by target.
    pub seconds_by_target: BTreeMap<String, Vec<throughput::Sums>>,
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
    /// What is watched.
    pub workloads: Arc<[Workload]>,
    /// PostgreSQL.
    pub database: Source<Tables>,
    /// Kafka.
    pub cluster: Source<Survey>,
    /// The coordinators' descriptions, by group.
    pub groups: Arc<BTreeMap<String, GroupAnswer>>,
    /// How long each topic keeps its records: `None` without end, absent while that is not known.
    pub retention: Arc<BTreeMap<String, Option<Duration>>>,
    /// Since this process started, oldest first; behind a reference, since every reader takes a copy of the rest.
    pub lag: Arc<VecDeque<LagSample>>,
}

impl Facts {
    /// Nothing is known yet of what is watched.
    pub fn of(workloads: &[Workload]) -> Self {
        Self { workloads: workloads.into(), ..Self::default() }
    }

    /// What PostgreSQL said last; nothing before its first answer.
    pub fn tables(&self) -> &Tables {
        static NOTHING: LazyLock<Tables> = LazyLock::new(Tables::default);
        self.database.latest().unwrap_or(&NOTHING)
    }

    /// The workloads that are in use: their topic has records, something of it was stored, or a consumer has read it.
    /// While none is, all whose topic there is.
    pub fn present(&self) -> Vec<&Workload> {
        let used: Vec<&Workload> = self.workloads.iter().filter(|workload| self.is_used(&workload.topic)).collect();
        if !used.is_empty() {
            return used;
        }
        self.workloads.iter().filter(|workload| !self.views(&workload.topic).is_empty()).collect()
    }

    fn is_used(&self, topic: &str) -> bool {
        self.views(topic).iter().any(|view| view.end.is_some_and(|end| end > 0))
            || self.offsets(topic).next().is_some()
            || self.tables().consumers.iter().any(|row| self.topic_read(row) == topic)
    }

    /// The topic that a consumer reads. An older build does not tell: then the one that its group has stored, or the first.
    pub fn topic_read(&self, row: &consumer_health::Row) -> &str {
        let tables = self.tables();
        if let Some(topic) = tables.topics_read.get(&row.boot_id) {
            return topic;
        }
        let stored =
            tables.offsets.iter().find(|stored| stored.group_id == row.group_id).map(|stored| stored.topic.as_str());
        stored.or_else(|| self.workloads.first().map(|workload| &*workload.topic)).unwrap_or_default()
    }

    /// Groups whose consumers have beaten, each with the topic that the last of them reads.
    pub fn groups_read(&self) -> BTreeMap<String, String> {
        let mut rows: Vec<&consumer_health::Row> = self.tables().consumers.iter().collect();
        rows.sort_by_key(|row| row.last_heartbeat);
        rows.into_iter().map(|row| (row.group_id.clone(), self.topic_read(row).to_owned())).collect()
    }

    /// The group that stores a topic, or else reads it; `None` while none is known.
    pub fn group_of(&self, topic: &str) -> Option<&str> {
        let stores = self.offsets(topic).next().map(|stored| stored.group_id.as_str());
        let mut rows = self.tables().consumers.iter();
        stores.or_else(|| rows.find(|row| self.topic_read(row) == topic).map(|row| row.group_id.as_str()))
    }

    /// Kafka's partitions of a topic, by number; none while it is not known.
    pub fn views(&self, topic: &str) -> &[PartitionView] {
        let topic = self.cluster.latest().and_then(|survey| survey.topics.get(topic));
        topic.map(|topic| topic.partitions.as_slice()).unwrap_or_default()
    }

    /// The stored offsets of a topic.
    pub fn offsets(&self, topic: &str) -> impl Iterator<Item = &offsets::Stored> {
        self.tables().offsets.iter().filter(move |stored| stored.topic == topic)
    }

    /// The stored offset of a partition of the log that the topic is now; of any log while Kafka does not know it.
    pub fn stored(&self, topic: &str, partition: i32) -> Option<&offsets::Stored> {
        let survey = self.cluster.latest();
        let this_log = |stored: &&offsets::Stored| {
            survey.and_then(|survey| Some((survey, survey.topics.get(topic)?))).is_none_or(|(survey, topic)| {
                topic.topic_id == stored.topic_id && survey.cluster_id == stored.cluster_id
            })
        };
        self.offsets(topic).filter(this_log).find(|stored| stored.partition == partition)
    }

    /// Partitions of a topic whose log goes further than what is stored.
    pub fn waiting(&self, topic: &str) -> Vec<i32> {
        let waits = |view: &&PartitionView| {
            let stored = self.stored(topic, view.partition);
            stored.is_some_and(|stored| view.end.is_some_and(|end| end > stored.next_offset))
        };
        self.views(topic).iter().filter(waits).map(|view| view.partition).collect()
    }

    /// Records of a topic that wait, over the partitions whose end and stored offset are known.
    pub fn lag_of(&self, topic: &str) -> u64 {
        let of = |view: &PartitionView| lag(view.end, self.stored(topic, view.partition)?.next_offset);
        self.views(topic).iter().filter_map(of).sum()
    }

    /// How long a topic keeps its records; `None` while that is not known, or without end.
    pub fn retention_of(&self, topic: &str) -> Option<Duration> {
        self.retention.get(topic).copied().flatten()
    }

    /// How long Kafka keeps the first record that is not stored, at least; `None` while that is not known.
    /// Negative when it may be gone.
    pub fn retention_left(&self, topic: &str, partition: i32, now: Timestamp) -> Option<SignedDuration> {
        let stored = self.stored(topic, partition)?;
        let of_this = |last: &&offsets::LastAppend| (last.log_id, last.partition) == (stored.log_id, partition);
        let appended_at = self.tables().last_appends.iter().find(of_this)?.at;
        Some(SignedDuration::try_from(self.retention_of(topic)?).ok()? - now.duration_since(appended_at))
    }

    /// Adds a sample of the lag, once both sources have answered.
    pub fn sample_lag(&mut self, at: Timestamp) {
        let (Some(_), Some(_)) = (self.database.latest(), self.cluster.latest()) else { return };
        let records = self.workloads.iter().map(|workload| self.lag_of(&workload.topic)).sum();
        let lag = Arc::make_mut(&mut self.lag);
        lag.push_back(LagSample { at, records });
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
