//! `rebalancing_events`: the journal of ownership.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::connect::Store;
use crate::error::{Error, Result};

/// One row of the journal, as its consumer saw it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Who saw it.
    pub consumer_id: String,
    /// `assigned`, `revoked`, … (the column's comment lists them).
    pub event_type: String,
    /// `None` for an empty assignment and for events of the whole process.
    pub partition: Option<i32>,
    /// Wall clock of the consumer.
    pub timestamp: Timestamp,
    /// Consumer group.
    pub group_id: String,
    /// Topic.
    pub topic: String,
    /// `consumer`, `cooperative-sticky` or `range`.
    pub protocol: String,
    /// Generation or member epoch as evidence; -1 unknown.
    pub generation: i32,
    /// Member id; may be empty.
    pub member_id: String,
    /// Process start.
    pub boot_id: Uuid,
    /// Order within the process, from 0.
    pub boot_sequence: i64,
    /// Microseconds since the process start, monotonic.
    pub monotonic_us: i64,
    /// Claim it speaks of.
    pub claim: Option<Uuid>,
    /// Offset it speaks of.
    pub kafka_offset: Option<i64>,
    /// Records it speaks of. Absent in what an older build spooled.
    #[serde(default)]
    pub records: Option<i64>,
    /// Reason or evidence.
    pub detail: Option<String>,
}

/// Stores the events; one that is there already (same boot id and sequence) is left as it is,
/// so that a spool can be sent again after a lost answer.
///
/// # Errors
/// Transient ones: send all of them again.
pub async fn append(store: &Store, events: &[Event]) -> Result<()> {
    let mut client = store.pooled().await?;
    let statement = client
        .prepare_cached(
            "INSERT INTO rebalancing_events (consumer_id, event_type, partition_number, timestamp, group_id, topic,
                 protocol, generation, member_id, boot_id, boot_sequence, monotonic_us, claim, kafka_offset, records, detail)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
             ON CONFLICT (boot_id, boot_sequence) DO NOTHING",
        )
        .await
        .map_err(Error::doing("preparing the journal"))?;
    let transaction = client.transaction().await.map_err(Error::doing("beginning a journal transaction"))?;
    for event in events {
        let values: [&(dyn ToSql + Sync); 16] = [
            &event.consumer_id,
            &event.event_type,
            &event.partition,
            &event.timestamp,
            &event.group_id,
            &event.topic,
            &event.protocol,
            &event.generation,
            &event.member_id,
            &event.boot_id,
            &event.boot_sequence,
            &event.monotonic_us,
            &event.claim,
            &event.kafka_offset,
            &event.records,
            &event.detail,
        ];
        transaction.execute(&statement, &values).await.map_err(Error::doing("appending to the journal"))?;
    }
    transaction.commit().await.map_err(Error::doing("committing the journal"))
}
