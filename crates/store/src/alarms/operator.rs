//! What people decide about alarms. Each decision is one statement, and an event beside it.

use jiff::Timestamp;
use tokio_postgres::types::ToSql;

use super::Limits;
use crate::connect::Store;
use crate::error::{Error, Result};

/// An alarm, by its key.
#[derive(Clone, Debug)]
pub struct Key {
    /// `sensor` or `system`.
    pub source_type: String,
    /// The sensor, or what of the system.
    pub source: String,
    /// Which of its conditions; all of them when `None`.
    pub condition: Option<String>,
}

const TELL: &str = "INSERT INTO alarm_events (source_type, source, condition, event, occurred_at, level, severity, chattering, \
     detail, by_whom) SELECT source_type, source, condition, $4, now(), level, severity, chattering, $5, $6 FROM decided";
const WHICH: &str = "a.source_type = $1 AND a.source = $2 AND ($3::text IS NULL OR a.condition = $3)";

/// Acknowledges what stands: active, or returned before anybody saw it. With `seen` only that activation: one that
/// was raised or got worse since it was listed stays to be seen. How many conditions that were.
///
/// # Errors
/// Transient ones.
pub async fn acknowledge(store: &Store, key: &Key, seen: Option<&str>, by: &str, comment: &str) -> Result<u64> {
    let decide = format!(
        "WITH decided AS (UPDATE alarms a SET acknowledged_activation = activation, acknowledged_by = $6, \
                acknowledged_at = now(), acknowledge_comment = $5 \
          WHERE {WHICH} AND activation IS DISTINCT FROM acknowledged_activation \
            AND ($7::text IS NULL OR activation = $7) RETURNING *) {TELL}"
    );
    tell(store, &decide, key, "acknowledged", by, comment, Some(&seen)).await
}

/// Forgets a sensor that is gone (renamed, taken down, or moved to another partition with a topic that grew): its
/// states in all partitions, and its alarms end. One that goes on reporting begins anew with the next claim. How many
/// states and alarms that were.
///
/// # Errors
/// Transient ones.
pub async fn forget(store: &Store, sensor_id: &str, by: &str, reason: &str) -> Result<u64> {
    let decide = format!(
        "WITH decided AS (UPDATE alarms a SET active = false, level = NULL, changed_at = now(), \
                acknowledged_activation = activation, acknowledged_by = $6, acknowledged_at = now(), \
                acknowledge_comment = $5 WHERE {WHICH} AND (active OR activation IS DISTINCT FROM \
                acknowledged_activation) RETURNING *) {TELL}"
    );
    let key = Key { source_type: "sensor".to_owned(), source: sensor_id.to_owned(), condition: None };
    let ended = tell(store, &decide, &key, "returned", by, reason, None).await?;
    let client = store.pooled().await?;
    let removed = client.execute("DELETE FROM alarm_states WHERE sensor_id = $1", &[&sensor_id]).await;
    Ok(ended + removed.map_err(Error::doing("forgetting a sensor"))?)
}

/// Hides alarms until a time; one that is shelved already gets the new end. How many conditions that were.
///
/// # Errors
/// Transient ones.
pub async fn shelve(store: &Store, key: &Key, until: Timestamp, by: &str, reason: &str) -> Result<u64> {
    let decide = format!(
        "WITH decided AS (UPDATE alarms a SET shelved_until = $7, shelved_by = $6, shelve_reason = $5 \
          WHERE {WHICH} RETURNING *) {TELL}"
    );
    tell(store, &decide, key, "shelved", by, reason, Some(&until)).await
}

/// Shows shelved alarms again. How many conditions that were.
///
/// # Errors
/// Transient ones.
pub async fn unshelve(store: &Store, key: &Key, by: &str, reason: &str) -> Result<u64> {
    let decide = format!(
        "WITH decided AS (UPDATE alarms a SET shelved_until = NULL, shelved_by = $6, shelve_reason = $5 \
          WHERE {WHICH} AND a.shelved_until > now() RETURNING *) {TELL}"
    );
    tell(store, &decide, key, "unshelved", by, reason, None).await
}

async fn tell(
    store: &Store,
    statement: &str,
    key: &Key,
    event: &str,
    by: &str,
    text: &str,
    more: Option<&(dyn ToSql + Sync)>,
) -> Result<u64> {
    let mut values: Vec<&(dyn ToSql + Sync)> = vec![&key.source_type, &key.source, &key.condition, &event, &text, &by];
    values.extend(more);
    let client = store.pooled().await?;
    client.execute(statement, &values).await.map_err(Error::doing("writing what was decided about an alarm"))
}

/// Gives a sensor limits of its own. They are to be checked before.
///
/// # Errors
/// Transient ones.
pub async fn set_limits(store: &Store, sensor_id: &str, limits: &Limits, by: &str, reason: &str) -> Result<()> {
    let client = store.pooled().await?;
    let statement = "
        INSERT INTO alarm_limits (sensor_id, high_high, high, low, low_low, deadband, on_delay_s, off_delay_s, deviation,
                                  changed_by, reason)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
        ON CONFLICT (sensor_id) DO UPDATE SET
            high_high = EXCLUDED.high_high, high = EXCLUDED.high, low = EXCLUDED.low, low_low = EXCLUDED.low_low,
            deadband = EXCLUDED.deadband, on_delay_s = EXCLUDED.on_delay_s, off_delay_s = EXCLUDED.off_delay_s,
            deviation = EXCLUDED.deviation, changed_by = EXCLUDED.changed_by, reason = EXCLUDED.reason,
            changed_at = now()";
    let values: [&(dyn ToSql + Sync); 11] = [
        &sensor_id,
        &limits.high_high,
        &limits.high,
        &limits.low,
        &limits.low_low,
        &limits.deadband,
        &limits.on_delay_s,
        &limits.off_delay_s,
        &limits.deviation,
        &by,
        &reason,
    ];
    client.execute(statement, &values).await.map_err(Error::doing("writing alarm limits"))?;
    Ok(())
}

/// Gives a sensor the defaults of its type back; whether it had limits of its own.
///
/// # Errors
/// Transient ones.
pub async fn reset_limits(store: &Store, sensor_id: &str) -> Result<bool> {
    let client = store.pooled().await?;
    let removed = client.execute("DELETE FROM alarm_limits WHERE sensor_id = $1", &[&sensor_id]).await;
    Ok(removed.map_err(Error::doing("removing alarm limits"))? > 0)
}
