//! Stored offsets as an operator sees and changes them: with a reason, under the row's lock, audited.
//!
//! ```text
//! quarantined ── release ──> same offset           (the cause was cured)
//!             ── set ──────> another offset        skipped: forward, explained by its reason
//!                                                  set: in place or back
//! other group, ── adopt ───> same offset, new group; a re-created topic: its log's start
//! new log
//! ```
//!
//! Each change replaces the claim, so that a running owner is refused and claims again, ends a
//! quarantine, and leaves an entry in `batch_ledger`. All partitions of a command change together.

use jiff::Timestamp;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::{Error, Result};

mod change;

pub use change::{Change, Changed, Operator, change};

/// One row of `stored_offsets` with the name of its log.
#[derive(Clone, Debug)]
pub struct Stored {
    /// Short key of the log.
    pub log_id: i32,
    /// `cluster.id` of the log.
    pub cluster_id: String,
    /// Topic id.
    pub topic_id: Uuid,
    /// Topic name.
    pub topic: String,
    /// Kafka partition.
    pub partition: i32,
    /// Group that may write.
    pub group_id: String,
    /// Where reading began.
    pub start_offset: i64,
    /// Everything before it is stored, a dead letter, or skipped with a reason.
    pub next_offset: i64,
    /// Leader epoch of the last stored record; -1 before the first.
    pub leader_epoch: i32,
    /// Who claimed it last.
    pub owner: String,
    /// When.
    pub claimed_at: Timestamp,
    /// Why it is not read, if so.
    pub quarantine_reason: Option<String>,
    /// When that began.
    pub quarantined_at: Option<Timestamp>,
    /// When it moved, or was claimed, last.
    pub updated_at: Timestamp,
}

/// When a partition's last stored record was appended: those that wait are no older.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastAppend {
    /// Short key of the log.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// Kafka's append time.
    pub at: Timestamp,
}

/// Of each partition that stored something. A look-up in an index each, however long the ledger is.
///
/// # Errors
/// Transient ones.
pub async fn last_appends(store: &Store, target: &str) -> Result<Vec<LastAppend>> {
    const DOING: &str = "asking when the last stored records were appended";
    let statement = "SELECT o.log_id, o.partition_number, e.last_append_at \
               FROM stored_offsets o CROSS JOIN LATERAL ( \
                    SELECT last_append_at FROM batch_ledger l WHERE (l.target, l.log_id, l.partition_number) = \
                           (o.target, o.log_id, o.partition_number) ORDER BY first_offset DESC LIMIT 1) e \
              WHERE o.target = $1 AND e.last_append_at IS NOT NULL";
    let rows = store.query(DOING, statement, &[&target]).await?;
    Ok(rows.iter().map(|row| LastAppend { log_id: row.get(0), partition: row.get(1), at: row.get(2) }).collect())
}

/// Every stored offset of a target, by topic, log and partition.
///
/// # Errors
/// Transient ones.
pub async fn all(store: &Store, target: &str) -> Result<Vec<Stored>> {
    let client = store.pooled().await?;
    let rows = client
        .query(
            "SELECT o.log_id, l.cluster_id, l.topic_id, l.topic, o.partition_number, o.group_id, o.start_offset, \
                    o.next_offset, o.leader_epoch, o.owner, o.claimed_at, o.quarantine_reason, o.quarantined_at, \
                    o.updated_at \
               FROM stored_offsets o JOIN kafka_logs l USING (log_id) \
              WHERE o.target = $1 ORDER BY l.topic, o.log_id, o.partition_number",
            &[&target],
        )
        .await
        .map_err(Error::doing("reading the stored offsets"))?;
    let stored = rows.iter().map(|row| Stored {
        log_id: row.get(0),
        cluster_id: row.get(1),
        topic_id: row.get(2),
        topic: row.get(3),
        partition: row.get(4),
        group_id: row.get(5),
        start_offset: row.get(6),
        next_offset: row.get(7),
        leader_epoch: row.get(8),
        owner: row.get(9),
        claimed_at: row.get(10),
        quarantine_reason: row.get(11),
        quarantined_at: row.get(12),
        updated_at: row.get(13),
    });
    Ok(stored.collect())
}
