//! `consumer_health`: one heartbeat row per consumer.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::Json;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::{Error, Result};
use crate::producer_health::{signed, unsigned};

/// One assigned partition as its consumer shows it: an element of `partition_states`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionState {
    /// Partition number.
    pub partition: i32,
    /// Name of its state: claiming, opening, reading, proving, paused, quarantined, settling.
    pub state: Cow<'static, str>,
    /// Why, for paused, quarantined, and claiming that does not go through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Next offset to be read.
    pub position: i64,
    /// Next offset in the database.
    pub stored: Option<i64>,
    /// End of the log, as last asked.
    pub log_end: Option<i64>,
}

/// What a consumer says of itself once a second.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// `starting`, `running`, `paused`, `stopping` or `stopped`.
    pub status: &'static str,
    /// Its consumer group.
    pub group_id: String,
    /// Its process start.
    pub boot_id: Uuid,
    /// When that was.
    pub started_at: Timestamp,
    /// Partitions that Kafka counts as assigned to it, ascending.
    pub assigned_partitions: Vec<i32>,
    /// Each assigned partition with its named state.
    pub partition_states: Vec<PartitionState>,
    /// Records committed in the last 60 s.
    pub processed_last_minute: u64,
    /// Journal events in the spool that have not reached the database.
    pub journal_waiting: u64,
    /// Journal events dropped by a full spool since the start.
    pub journal_dropped: u64,
}

/// Writes the heartbeat; its time is the server's.
///
/// # Errors
/// Transient ones; a lost heartbeat is not repeated.
pub async fn beat(store: &Store, beat: &Heartbeat) -> Result<()> {
    let client = store.pooled().await?;
    let statement = client
        .prepare_cached(
            "INSERT INTO consumer_health (consumer_id, status, last_heartbeat, assigned_partitions,
                 messages_processed_last_minute, group_id, boot_id, started_at, partition_states,
                 journal_waiting, journal_dropped)
             VALUES ($1, $2, clock_timestamp(), $3, $4, $5, $6, $7, $8, $9, $10)
             ON CONFLICT (consumer_id) DO UPDATE SET
                 status = EXCLUDED.status, last_heartbeat = EXCLUDED.last_heartbeat,
                 assigned_partitions = EXCLUDED.assigned_partitions,
                 messages_processed_last_minute = EXCLUDED.messages_processed_last_minute,
                 group_id = EXCLUDED.group_id, boot_id = EXCLUDED.boot_id, started_at = EXCLUDED.started_at,
                 partition_states = EXCLUDED.partition_states, journal_waiting = EXCLUDED.journal_waiting,
                 journal_dropped = EXCLUDED.journal_dropped",
        )
        .await
        .map_err(Error::doing("preparing the consumer's heartbeat"))?;
    client
        .execute(
            &statement,
            &[
                &beat.consumer_id,
                &beat.status,
                &beat.assigned_partitions,
                &signed(beat.processed_last_minute),
                &beat.group_id,
                &beat.boot_id,
                &beat.started_at,
                &Json(&beat.partition_states),
                &signed(beat.journal_waiting),
                &signed(beat.journal_dropped),
            ],
        )
        .await
        .map_err(Error::doing("writing the consumer's heartbeat"))?;
    Ok(())
}

/// A heartbeat as it stands in the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// `starting`, `running`, `paused`, `stopping` or `stopped`: what it said last.
    pub status: String,
    /// Server clock of its last heartbeat.
    pub last_heartbeat: Timestamp,
    /// Seconds since then, by the server's clock; never negative.
    pub age_s: f64,
    /// Its consumer group.
    pub group_id: String,
    /// Its process start.
    pub boot_id: Uuid,
    /// When that was.
    pub started_at: Timestamp,
    /// Its partitions; empty where an older build's states cannot be read.
    pub partitions: Vec<PartitionState>,
    /// Records committed in its last 60 s.
    pub processed_last_minute: u64,
    /// Journal events that are not in the database yet.
    pub journal_waiting: u64,
    /// Journal events dropped since its start.
    pub journal_dropped: u64,
}

/// The heartbeat rows, by consumer; the 1,000 with the latest heartbeats.
///
/// # Errors
/// Transient ones.
pub async fn all(store: &Store) -> Result<Vec<Row>> {
    const DOING: &str = "reading the consumers' heartbeats";
    let client = store.pooled().await?;
    let statement = client
        .prepare_cached(
            "SELECT consumer_id, status, last_heartbeat, \
                    greatest(0, extract(epoch FROM clock_timestamp() - last_heartbeat))::float8, group_id, boot_id, \
                    started_at, partition_states, messages_processed_last_minute, journal_waiting, journal_dropped \
               FROM (SELECT * FROM consumer_health ORDER BY last_heartbeat DESC LIMIT 1000) latest \
              ORDER BY consumer_id",
        )
        .await
        .map_err(Error::doing(DOING))?;
    let rows = client.query(&statement, &[]).await.map_err(Error::doing(DOING))?;
    let row = |row: &tokio_postgres::Row| Row {
        consumer_id: row.get(0),
        status: row.get(1),
        last_heartbeat: row.get(2),
        age_s: row.get(3),
        group_id: row.get(4),
        boot_id: row.get(5),
        started_at: row.get(6),
        partitions: row.try_get::<_, Json<_>>(7).map(|json| json.0).unwrap_or_default(),
        processed_last_minute: unsigned(row.get(8)),
        journal_waiting: unsigned(row.get(9)),
        journal_dropped: unsigned(row.get(10)),
    };
    Ok(rows.iter().map(row).collect())
}
