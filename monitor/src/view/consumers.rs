//! `/api/consumer-health`.

use jiff::Timestamp;
use serde::Serialize;
use store::consumer_health::{PartitionState, Row};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{age, is_gone, per_second};
use crate::facts::{Facts, lag};

/// Answer of `GET /api/consumer-health`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConsumerHealth {
    /// When the database was asked.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Every consumer that ever beat, by name.
    pub consumers: Vec<Consumer>,
}

/// One consumer process.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Consumer {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// Its consumer group.
    pub group_id: String,
    /// Topic that it reads.
    pub topic: String,
    /// `starting`, `running`, `paused`, `stopping`, `stopped`, or `silent`: no heartbeat for two seconds, or
    /// no session with the database any more, and it did not say that it stops.
    pub status: String,
    /// What it said of itself last.
    pub reported_status: String,
    /// Server clock of its last heartbeat.
    #[schema(value_type = String, format = DateTime)]
    pub last_heartbeat: Timestamp,
    /// Seconds since then.
    pub heartbeat_age_seconds: f64,
    /// When the process started, by its own clock.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// That process start.
    pub boot_id: Uuid,
    /// Partitions that Kafka counted as assigned to it when it last beat.
    pub assigned_partitions: Vec<i32>,
    /// The same, each with its state.
    pub partitions: Vec<AssignedPartition>,
    /// Records that it committed in the minute before its last heartbeat.
    pub messages_processed_last_minute: u64,
    /// Rows that it stored per second over the last ten whole seconds.
    pub stored_rows_per_second: f64,
    /// Records that wait in its partitions; `null` when that is not known.
    pub lag_records: Option<u64>,
    /// Journal events in its spool that are not in the database.
    pub journal_waiting: u64,
    /// Journal events that its full spool dropped since it started.
    pub journal_dropped: u64,
}

/// A partition as its consumer sees it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssignedPartition {
    /// Its number.
    pub partition: i32,
    /// `claiming`, `opening`, `reading`, `proving`, `paused`, `quarantined` or `settling`.
    pub state: String,
    /// Why, where the state has a reason.
    pub reason: Option<String>,
    /// Next offset that it will read.
    pub position: i64,
    /// Next offset in the database.
    pub stored_offset: Option<i64>,
}

impl Consumer {
    /// Whether it beats.
    pub fn is_alive(&self) -> bool {
        !matches!(self.status.as_str(), "silent" | "stopped")
    }
}

/// Every consumer, by name.
pub fn consumers(facts: &Facts, now: Timestamp) -> Vec<Consumer> {
    facts.tables().consumers.iter().map(|row| consumer(facts, row, now)).collect()
}

fn consumer(facts: &Facts, row: &Row, now: Timestamp) -> Consumer {
    let stored = facts
        .tables()
        .shares
        .iter()
        .filter(|share| share.consumer_id == row.consumer_id)
        .map(|share| share.stored_rows);
    let age_s = age(facts, row.age_s, now);
    let silent = is_gone(facts, row) && row.status != "stopped";
    Consumer {
        consumer_id: row.consumer_id.clone(),
        group_id: row.group_id.clone(),
        topic: facts.topic_read(row).to_owned(),
        status: if silent { "silent".to_owned() } else { row.status.clone() },
        reported_status: row.status.clone(),
        last_heartbeat: row.last_heartbeat,
        heartbeat_age_seconds: age_s,
        started_at: row.started_at,
        boot_id: row.boot_id,
        assigned_partitions: row.partitions.iter().map(|state| state.partition).collect(),
        partitions: row.partitions.iter().map(assigned).collect(),
        messages_processed_last_minute: row.processed_last_minute,
        stored_rows_per_second: per_second(stored.sum()),
        lag_records: row.partitions.iter().map(|state| lag(state.log_end, state.stored?)).sum(),
        journal_waiting: row.journal_waiting,
        journal_dropped: row.journal_dropped,
    }
}

fn assigned(state: &PartitionState) -> AssignedPartition {
    AssignedPartition {
        partition: state.partition,
        state: state.state.clone().into_owned(),
        reason: state.reason.clone(),
        position: state.position,
        stored_offset: state.stored,
    }
}
