//! `producer_health`: one heartbeat row per producer.

use jiff::Timestamp;
use uuid::Uuid;

use crate::connect::Store;
use crate::count::{signed, unsigned};
use crate::error::{Error, Result};

/// What a producer says of itself once a second.
#[derive(Clone, Debug)]
pub struct Heartbeat {
    /// Such as `temperature-sensor`.
    pub producer_id: String,
    /// Text form of what it produces.
    pub sensor_type: String,
    /// `running`, `waiting_for_kafka`, `stopping` or `stopped`.
    pub status: &'static str,
    /// `connected`, `degraded` or `disconnected`.
    pub connection_status: &'static str,
    /// Its process start.
    pub run_id: Uuid,
    /// When that was.
    pub started_at: Timestamp,
    /// Messages acknowledged in the last 60 s.
    pub acknowledged_last_minute: u64,
    /// Handed to the client since the start.
    pub sent: u64,
    /// Acknowledged since the start.
    pub acknowledged: u64,
    /// In its queue now.
    pub waiting: u64,
    /// Events per second aimed at; `None` for as fast as possible.
    pub target_rate: Option<f64>,
}

/// Writes the heartbeat; its time is the server's.
///
/// # Errors
/// Transient ones; a lost heartbeat is not repeated.
pub async fn beat(store: &Store, beat: &Heartbeat) -> Result<()> {
    let client = store.pooled().await?;
    let statement = client
        .prepare_cached(
            "INSERT INTO producer_health (producer_id, sensor_type, status, last_heartbeat, messages_sent_last_minute,
                 connection_status, run_id, started_at, messages_sent, messages_acknowledged, messages_waiting, target_rate)
             VALUES ($1, $2, $3, clock_timestamp(), $4, $5, $6, $7, $8, $9, $10, $11)
             ON CONFLICT (producer_id) DO UPDATE SET
                 sensor_type = EXCLUDED.sensor_type, status = EXCLUDED.status, last_heartbeat = EXCLUDED.last_heartbeat,
                 messages_sent_last_minute = EXCLUDED.messages_sent_last_minute,
                 connection_status = EXCLUDED.connection_status, run_id = EXCLUDED.run_id,
                 started_at = EXCLUDED.started_at, messages_sent = EXCLUDED.messages_sent,
                 messages_acknowledged = EXCLUDED.messages_acknowledged,
                 messages_waiting = EXCLUDED.messages_waiting, target_rate = EXCLUDED.target_rate",
        )
        .await
        .map_err(Error::doing("preparing the producer's heartbeat"))?;
    client
        .execute(
            &statement,
            &[
                &beat.producer_id,
                &beat.sensor_type,
                &beat.status,
                &signed(beat.acknowledged_last_minute),
                &beat.connection_status,
                &beat.run_id,
                &beat.started_at,
                &signed(beat.sent),
                &signed(beat.acknowledged),
                &signed(beat.waiting),
                &beat.target_rate,
            ],
        )
        .await
        .map_err(Error::doing("writing the producer's heartbeat"))?;
    Ok(())
}

/// A heartbeat as it stands in the table.
#[derive(Clone, Debug)]
pub struct Row {
    /// Such as `temperature-sensor`.
    pub producer_id: String,
    /// What it produces.
    pub sensor_type: String,
    /// `running`, `waiting_for_kafka`, `stopping` or `stopped`: what it said last.
    pub status: String,
    /// `connected`, `degraded` or `disconnected`: what it said last.
    pub connection_status: String,
    /// Server clock of its last heartbeat.
    pub last_heartbeat: Timestamp,
    /// Seconds since then, by the server's clock; never negative.
    pub age_s: f64,
    /// Its process start.
    pub run_id: Uuid,
    /// When that was.
    pub started_at: Timestamp,
    /// Messages acknowledged in its last 60 s.
    pub acknowledged_last_minute: u64,
    /// Handed to the client since its start.
    pub sent: u64,
    /// Acknowledged since its start.
    pub acknowledged: u64,
    /// In its queue.
    pub waiting: u64,
    /// Events per second aimed at; `None` for as fast as possible.
    pub target_rate: Option<f64>,
}

/// The heartbeat rows, by producer; the 1,000 with the latest heartbeats.
///
/// # Errors
/// Transient ones.
pub async fn all(store: &Store) -> Result<Vec<Row>> {
    const DOING: &str = "reading the producers' heartbeats";
    let statement = "SELECT producer_id, sensor_type, status, connection_status, last_heartbeat, \
                    greatest(0, extract(epoch FROM clock_timestamp() - last_heartbeat))::float8, run_id, started_at, \
                    messages_sent_last_minute, messages_sent, messages_acknowledged, messages_waiting, target_rate \
               FROM (SELECT * FROM producer_health ORDER BY last_heartbeat DESC LIMIT 1000) latest \
              ORDER BY producer_id";
    let rows = store.query(DOING, statement, &[]).await?;
    let row = |row: &tokio_postgres::Row| Row {
        producer_id: row.get(0),
        sensor_type: row.get(1),
        status: row.get(2),
        connection_status: row.get(3),
        last_heartbeat: row.get(4),
        age_s: row.get(5),
        run_id: row.get(6),
        started_at: row.get(7),
        acknowledged_last_minute: unsigned(row.get(8)),
        sent: unsigned(row.get(9)),
        acknowledged: unsigned(row.get(10)),
        waiting: unsigned(row.get(11)),
        target_rate: row.get(12),
    };
    Ok(rows.iter().map(row).collect())
}
