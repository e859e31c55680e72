//! `/api/producer-health`.

use jiff::Timestamp;
use serde::Serialize;
use store::producer_health::Row;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{age, is_silent, tenths};
use crate::facts::Facts;

/// Answer of `GET /api/producer-health`.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ProducerHealth {
    /// When the database was asked.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Timestamp,
    /// Every producer that ever beat, by name.
    pub producers: Vec<Producer>,
}

/// One producer process.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Producer {
    /// Such as `temperature-sensor`.
    pub producer_id: String,
    /// What it produces.
    pub sensor_type: String,
    /// `running`, `waiting_for_kafka`, `stopping`, `stopped`, or `silent`: no heartbeat for two seconds, and it did
    /// not say that it stops.
    pub status: String,
    /// What it said of itself last.
    pub reported_status: String,
    /// `connected`, `degraded` or `disconnected`, as its Kafka client saw the brokers; `unknown` of a silent one.
    pub connection_status: String,
    /// Server clock of its last heartbeat.
    #[schema(value_type = String, format = DateTime)]
    pub last_heartbeat: Timestamp,
    /// Seconds since then.
    pub heartbeat_age_seconds: f64,
    /// When the process started, by its own clock.
    #[schema(value_type = String, format = DateTime)]
    pub started_at: Timestamp,
    /// That process start, as in its events.
    pub run_id: Uuid,
    /// Messages acknowledged by all in-sync replicas in the minute before its last heartbeat.
    pub messages_sent_last_minute: u64,
    /// The same per second; 0 of a silent or stopped one.
    pub messages_sent_per_second: f64,
    /// Messages a second that it aims at; `null` for as fast as possible.
    pub target_per_second: Option<f64>,
    /// Handed to its client since it started.
    pub messages_sent: u64,
    /// Acknowledged since it started.
    pub messages_acknowledged: u64,
    /// In its queue.
    pub messages_waiting: u64,
}

impl Producer {
    /// Whether it beats.
    pub fn is_alive(&self) -> bool {
        !matches!(self.status.as_str(), "silent" | "stopped")
    }
}

/// Every producer, by name.
pub fn producers(facts: &Facts, now: Timestamp) -> Vec<Producer> {
    facts.tables().producers.iter().map(|row| producer(facts, row, now)).collect()
}

fn producer(facts: &Facts, row: &Row, now: Timestamp) -> Producer {
    let age_s = age(facts, row.age_s, now);
    let silent = is_silent(facts, row.age_s) && row.status != "stopped";
    // The minute counts from its start, so that a young one does not look slow.
    let life_s = row.last_heartbeat.duration_since(row.started_at).as_secs_f64().clamp(1.0, 60.0);
    let alive = !silent && row.status != "stopped";
    Producer {
        producer_id: row.producer_id.clone(),
        sensor_type: row.sensor_type.clone(),
        status: if silent { "silent".to_owned() } else { row.status.clone() },
        reported_status: row.status.clone(),
        connection_status: if alive { row.connection_status.clone() } else { "unknown".to_owned() },
        last_heartbeat: row.last_heartbeat,
        heartbeat_age_seconds: age_s,
        started_at: row.started_at,
        run_id: row.run_id,
        messages_sent_last_minute: row.acknowledged_last_minute,
        messages_sent_per_second: if alive { tenths(row.acknowledged_last_minute as f64 / life_s) } else { 0.0 },
        target_per_second: row.target_rate,
        messages_sent: row.sent,
        messages_acknowledged: row.acknowledged,
        messages_waiting: row.waiting,
    }
}
