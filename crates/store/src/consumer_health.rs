//! `consumer_health`: one heartbeat row per consumer.

use jiff::Timestamp;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::{Error, Result};
use crate::producer_health::signed;

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
    /// Each assigned partition with its named state (JSON array).
    pub partition_states: serde_json::Value,
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
                &beat.partition_states,
                &signed(beat.journal_waiting),
                &signed(beat.journal_dropped),
            ],
        )
        .await
        .map_err(Error::doing("writing the consumer's heartbeat"))?;
    Ok(())
}
