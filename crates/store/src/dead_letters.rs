//! `dead_letters`: looking at them, and storing them after all.

use jiff::Timestamp;
use tokio_postgres::Row;

use crate::connect::Store;
use crate::error::{Error, Result};

mod replay;

pub use replay::{Replay, replay};

/// Most letters of one page.
pub const MAX_PAGE: u16 = 1000;

/// Which letters.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only with this reason code.
    pub reason_code: Option<String>,
    /// Only `open` or `replayed` ones.
    pub status: Option<String>,
}

/// A letter without its bytes.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Number to name it by.
    pub id: i64,
    /// Topic of its log.
    pub topic: String,
    /// Short key of the log.
    pub log_id: i32,
    /// Kafka partition.
    pub partition: i32,
    /// Kafka offset.
    pub offset: i64,
    /// `schema::ReasonCode`.
    pub reason_code: String,
    /// Field of the fault.
    pub field: Option<String>,
    /// One sentence.
    pub reason: String,
    /// When it was stored.
    pub dead_at: Timestamp,
    /// `open` or `replayed`.
    pub status: String,
}

/// A letter with everything.
#[derive(Clone, Debug)]
pub struct Letter {
    /// The short form.
    pub summary: Summary,
    /// Table that the record was meant for.
    pub target: String,
    /// Claim of its batch.
    pub claim: uuid::Uuid,
    /// Consumer that stored it.
    pub consumer_id: String,
    /// Key bytes.
    pub key: Option<Vec<u8>>,
    /// Value bytes; `None` for a tombstone.
    pub payload: Option<Vec<u8>>,
    /// Kafka's append time.
    pub appended_at: Option<Timestamp>,
    /// When it was replayed.
    pub replayed_at: Option<Timestamp>,
    /// By whom.
    pub replayed_by: Option<String>,
}

/// How many letters of a target there are: reason code, open, replayed.
///
/// # Errors
/// Transient ones.
pub async fn counts(store: &Store, target: &str) -> Result<Vec<(String, i64, i64)>> {
    let rows = store
        .pooled()
        .await?
        .query(
            "SELECT reason_code, count(*) FILTER (WHERE status = 'open'), count(*) FILTER (WHERE status <> 'open') \
               FROM dead_letters WHERE target = $1 GROUP BY 1 ORDER BY 2 DESC, 1",
            &[&target],
        )
        .await
        .map_err(Error::doing("counting dead letters"))?;
    Ok(rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect())
}

/// A page of letters with ids above `after`, ascending, and the cursor of the next page when there is one.
///
/// # Errors
/// Transient ones.
pub async fn page(
    store: &Store,
    target: &str,
    filter: &Filter,
    after: i64,
    limit: u16,
) -> Result<(Vec<Summary>, Option<i64>)> {
    let limit = limit.clamp(1, MAX_PAGE);
    let rows = store
        .pooled()
        .await?
        .query(
            "SELECT d.id, l.topic, d.log_id, d.partition_number, d.kafka_offset, d.reason_code, d.field, d.reason, \
                    d.dead_at, d.status \
               FROM dead_letters d JOIN kafka_logs l USING (log_id) \
              WHERE d.target = $1 AND d.id > $2 AND ($3::text IS NULL OR d.reason_code = $3) \
                AND ($4::text IS NULL OR d.status = $4) \
              ORDER BY d.id LIMIT $5",
            &[&target, &after, &filter.reason_code, &filter.status, &(i64::from(limit) + 1)],
        )
        .await
        .map_err(Error::doing("listing dead letters"))?;
    let mut letters: Vec<Summary> = rows.iter().map(summary).collect();
    let more = letters.len() > usize::from(limit);
    letters.truncate(usize::from(limit));
    let next = letters.last().filter(|_| more).map(|letter| letter.id);
    Ok((letters, next))
}

/// One letter.
///
/// # Errors
/// [`Error::Refused`] when there is no such letter; transient ones.
pub async fn get(store: &Store, id: i64) -> Result<Letter> {
    let row = store
        .pooled()
        .await?
        .query_opt(
            "SELECT d.id, l.topic, d.log_id, d.partition_number, d.kafka_offset, d.reason_code, d.field, d.reason, \
                    d.dead_at, d.status, d.target, d.claim, d.consumer_id, d.record_key, d.payload, d.appended_at, \
                    d.replayed_at, d.replayed_by \
               FROM dead_letters d JOIN kafka_logs l USING (log_id) WHERE d.id = $1",
            &[&id],
        )
        .await
        .map_err(Error::doing("reading a dead letter"))?
        .ok_or_else(|| Error::Refused(format!("there is no dead letter {id}")))?;
    Ok(Letter {
        summary: summary(&row),
        target: row.get(10),
        claim: row.get(11),
        consumer_id: row.get(12),
        key: row.get(13),
        payload: row.get(14),
        appended_at: row.get(15),
        replayed_at: row.get(16),
        replayed_by: row.get(17),
    })
}

fn summary(row: &Row) -> Summary {
    Summary {
        id: row.get(0),
        topic: row.get(1),
        log_id: row.get(2),
        partition: row.get(3),
        offset: row.get(4),
        reason_code: row.get(5),
        field: row.get(6),
        reason: row.get(7),
        dead_at: row.get(8),
        status: row.get(9),
    }
}
