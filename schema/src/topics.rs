//! The topic catalogue: every topic that Millrace reads or writes.

use std::time::Duration;

/// One topic and the settings that it is created with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Name on the brokers.
    pub name: &'static str,
    /// Partitions at creation. Growing a keyed topic moves keys to other partitions.
    pub partitions: i32,
    /// What the record key is; records of one key stay in order.
    pub key: &'static str,
    /// `retention.ms`: how long the log keeps a record, whether it was stored or not.
    pub retention: Duration,
}

/// Replicas of each partition (one on each of the three brokers).
pub const REPLICATION_FACTOR: i32 = 3;
/// `min.insync.replicas`: an acknowledged record is on at least two brokers.
pub const MIN_INSYNC_REPLICAS: i32 = 2;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// [`crate::SensorReading`]s as JSON.
pub const SENSOR_READINGS: Topic =
    Topic { name: "sensor-readings", partitions: 6, key: "sensor_id", retention: DAY.saturating_mul(7) };

/// [`crate::tweet::Tweet`]s as JSON.
pub const TWEETS: Topic = Topic { name: "tweets", partitions: 20, key: "author_id", retention: DAY.saturating_mul(7) };

/// Every topic.
pub const CATALOGUE: [Topic; 2] = [SENSOR_READINGS, TWEETS];
