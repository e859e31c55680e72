//! Taking a partition: the claim transaction of `stored_offsets`.
//!
//! ```text
//! lock() ── SELECT … FOR UPDATE ──> Locked ──┬─ take()        claim written, committed
//!    │ after 1 s of waiting: terminate       ├─ quarantine()  reason written, committed
//!    └ the backend that the row names        └─ (dropped)     rolled back
//! ```
//!
//! It runs on a connection of its own, never on the one that writes batches: it may have to
//! wait for that one's lock.

use deadpool_postgres::Object;
use jiff::Timestamp;
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use crate::connect::{Backend, Store};
use crate::error::{Error, Result};

mod locked;

pub use locked::{Locked, Taken};

/// Times that a claim waits one second for the lock before it gives up with a transient error.
const LOCK_ATTEMPTS: u32 = 4;

/// One partition of one incarnation of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LogPartition {
    /// Kafka's `cluster.id`.
    pub cluster_id: String,
    /// Kafka's topic id.
    pub topic_id: Uuid,
    /// Topic name.
    pub topic: String,
    /// Partition number, from 0.
    pub partition: i32,
}

/// Who claims.
#[derive(Clone, Debug)]
pub struct Claimant {
    /// Consumer group.
    pub group_id: String,
    /// Such as `sensor-consumer-1`.
    pub consumer_id: String,
    /// Process start.
    pub boot_id: Uuid,
    /// The token of this incarnation, never used before.
    pub claim: Uuid,
    /// The backend that will write this claim's batches.
    pub writer: Backend,
}

/// What the row says, read under its lock.
#[derive(Clone, Debug)]
pub struct StoredOffset {
    /// Group that may write.
    pub group_id: String,
    /// Everything before it is stored.
    pub next_offset: i64,
    /// Leader epoch of the last stored record; -1 before the first.
    pub leader_epoch: i32,
    /// Previous claim.
    pub claim: Uuid,
    /// Its consumer.
    pub owner: String,
    /// Why it is not read, if so.
    pub quarantine_reason: Option<String>,
}

/// An older log under the same topic name that this target was read from.
#[derive(Clone, Debug)]
pub struct Predecessor {
    /// Its topic id.
    pub topic_id: Uuid,
    /// How far it was read.
    pub next_offset: i64,
}

/// Locks the stored offset of `log` for `target` and reads it.
///
/// Waits for an open transaction of the previous owner; after 1 s terminates exactly the
/// backend that the row names, if that one is in a transaction at all. `own` is the claimant's own
/// writer, which is never terminated: its transaction ends by itself.
///
/// # Errors
/// Transient ones, among them the lock not being had within some seconds.
pub async fn lock(store: &Store, target: &str, log: &LogPartition, own: Backend) -> Result<Locked> {
    let client = store.pooled().await?;
    let log_id = log_id(&client, log).await?;
    let mut ended = Vec::new();
    for _ in 0..LOCK_ATTEMPTS {
        match select_for_update(&client, target, log_id, log.partition).await {
            Ok(stored) => {
                // From here the connection is never returned to the pool with an open transaction.
                let client = Object::take(client);
                let predecessor = match &stored {
                    Some(_) => None,
                    None => predecessor(&client, target, log_id, log).await?,
                };
                return Ok(Locked {
                    client,
                    target: target.to_owned(),
                    partition: log.partition,
                    log_id,
                    stored,
                    predecessor,
                    ended,
                });
            }
            Err(error) if error.code() == Some(&SqlState::LOCK_NOT_AVAILABLE) => {
                rollback(&client).await?;
                ended.extend(end_writer(&client, target, log_id, log.partition, own).await?);
            }
            Err(source) => {
                let _ = Object::take(client);
                return Err(Error::Statement { doing: "locking a stored offset", source });
            }
        }
    }
    Err(Error::TimedOut { doing: "waiting for the lock of a stored offset", seconds: u64::from(LOCK_ATTEMPTS) })
}

async fn log_id(client: &tokio_postgres::Client, log: &LogPartition) -> Result<i32> {
    const DOING: &str = "looking up the log";
    let select = "SELECT log_id FROM kafka_logs WHERE cluster_id = $1 AND topic_id = $2";
    let key: [&(dyn tokio_postgres::types::ToSql + Sync); 2] = [&log.cluster_id, &log.topic_id];
    if let Some(row) = client.query_opt(select, &key).await.map_err(Error::doing(DOING))? {
        return Ok(row.get(0));
    }
    client
        .execute(
            "INSERT INTO kafka_logs (cluster_id, topic_id, topic) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
            &[&log.cluster_id, &log.topic_id, &log.topic],
        )
        .await
        .map_err(Error::doing("recording a new log"))?;
    let row = client.query_one(select, &key).await.map_err(Error::doing(DOING))?;
    Ok(row.get(0))
}

async fn select_for_update(
    client: &tokio_postgres::Client,
    target: &str,
    log_id: i32,
    partition: i32,
) -> std::result::Result<Option<StoredOffset>, tokio_postgres::Error> {
    client.batch_execute("BEGIN; SET LOCAL lock_timeout = '1s'").await?;
    let row = client
        .query_opt(
            "SELECT group_id, next_offset, leader_epoch, claim, owner, quarantine_reason FROM stored_offsets \
             WHERE target = $1 AND log_id = $2 AND partition_number = $3 FOR UPDATE",
            &[&target, &log_id, &partition],
        )
        .await?;
    Ok(row.map(|row| StoredOffset {
        group_id: row.get(0),
        next_offset: row.get(1),
        leader_epoch: row.get(2),
        claim: row.get(3),
        owner: row.get(4),
        quarantine_reason: row.get(5),
    }))
}

async fn predecessor(
    client: &tokio_postgres::Client,
    target: &str,
    log_id: i32,
    log: &LogPartition,
) -> Result<Option<Predecessor>> {
    // A partition that the old log did not have is no exception, as long as nothing of the new log
    // has been adopted.
    let row = client
        .query_opt(
            "SELECT l.topic_id, o.next_offset FROM stored_offsets o JOIN kafka_logs l USING (log_id) \
             WHERE o.target = $1 AND l.topic = $3 AND l.log_id <> $4 \
               AND (o.partition_number = $2 OR NOT EXISTS (SELECT FROM stored_offsets n \
                    WHERE n.target = $1 AND n.log_id = $4 AND n.quarantine_reason IS NULL)) \
             ORDER BY o.partition_number = $2 DESC, l.log_id DESC LIMIT 1",
            &[&target, &log.partition, &log.topic, &log_id],
        )
        .await
        .map_err(Error::doing("looking for an older log of the topic"))?;
    Ok(row.map(|row| Predecessor { topic_id: row.get(0), next_offset: row.get(1) }))
}

async fn rollback(client: &tokio_postgres::Client) -> Result<()> {
    client.batch_execute("ROLLBACK").await.map_err(Error::doing("rolling back a claim"))
}

/// Ends the backend that the row names as its writer, if it is in a transaction. The row is
/// read without its lock: a newer claim names a newer writer, and the wait goes on for that one.
async fn end_writer(
    client: &tokio_postgres::Client,
    target: &str,
    log_id: i32,
    partition: i32,
    own: Backend,
) -> Result<Option<Backend>> {
    let row = client
        .query_opt(
            // Ended in the select list, which is worked out for the joined row only. As a condition it
            // would belong to the scan of the activity: every backend in a transaction would be ended.
            "SELECT a.pid, a.backend_start, pg_terminate_backend(a.pid) FROM stored_offsets o \
               JOIN pg_stat_activity a ON a.pid = o.writer_pid AND a.backend_start = o.writer_started_at \
              WHERE o.target = $1 AND o.log_id = $2 AND o.partition_number = $3 \
                AND (a.pid, a.backend_start) <> ($4, $5) AND a.xact_start IS NOT NULL",
            &[&target, &log_id, &partition, &own.pid, &own.started_at],
        )
        .await
        .map_err(Error::doing("ending the previous owner's backend"))?;
    let ended = row.filter(|row| row.get(2));
    Ok(ended.map(|row| Backend { pid: row.get(0), started_at: row.get::<_, Timestamp>(1) }))
}
