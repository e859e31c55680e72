//! The gaps that the ledger books, so that the log can be asked whether it really has none there.

use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::{Error, Result};

/// Offsets that a ledger entry says the log does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The topic's name when it was first seen.
    pub topic: String,
    /// Its id.
    pub topic_id: Uuid,
    /// Short key of the log.
    pub log_id: i32,
    /// Partition.
    pub partition: i32,
    /// First offset of the gap.
    pub from: i64,
    /// First offset behind it.
    pub to: i64,
}

/// The newest gaps of a target, at most `limit`.
///
/// # Errors
/// When the database does not answer.
pub async fn gaps(store: &Store, target: &str, limit: u32) -> Result<Vec<Gap>> {
    let session = store.long_session().await?;
    let values: [&(dyn ToSql + Sync); 2] = [&target, &i64::from(limit)];
    let rows = session
        .client
        .query(
            "SELECT k.topic, k.topic_id, l.log_id, l.partition_number, lower(g), upper(g) \
               FROM batch_ledger l JOIN kafka_logs k USING (log_id), unnest(l.gaps) g \
              WHERE l.target = $1 AND l.gaps <> '{}' ORDER BY l.stored_at DESC, lower(g) DESC LIMIT $2",
            &values,
        )
        .await
        .map_err(Error::doing("reading the gaps"))?;
    let gap = |row: &tokio_postgres::Row| Gap {
        topic: row.get(0),
        topic_id: row.get(1),
        log_id: row.get(2),
        partition: row.get(3),
        from: row.get(4),
        to: row.get(5),
    };
    Ok(rows.iter().map(gap).collect())
}
