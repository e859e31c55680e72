//! Stored offsets, retention's checkpoints, and the ledger's chain between them.

use std::collections::BTreeMap;
use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::chain::{Chain, Entry};
use super::finding::Kind;
use super::{At, Audit, Command, NAMED_COMMANDS};
use crate::count::unsigned;
use crate::error::{Error, Result};

/// Entries in the order of their chain: by offset, within segments that end where a command moved
/// the stored offset back.
const CHAIN: &str = "
    SELECT log_id, partition_number, kind, first_offset, next_offset, gap_offsets, stored_at, consumer_id, reason
      FROM (SELECT l.log_id, l.partition_number, l.kind, l.first_offset, l.next_offset, l.stored_at,
                   l.consumer_id, coalesce(l.reason, '') AS reason,
                   (SELECT coalesce(sum(upper(g) - lower(g)), 0)::bigint FROM unnest(l.gaps) g) AS gap_offsets,
                   count(*) FILTER (WHERE l.kind = 'set' AND l.next_offset < l.first_offset)
                       OVER (PARTITION BY l.log_id, l.partition_number ORDER BY l.stored_at, l.first_offset
                             ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS segment
              FROM batch_ledger l
              LEFT JOIN retention_checkpoints c USING (target, log_id, partition_number)
             WHERE l.target = $1 AND l.stored_at >= coalesce(c.horizon, '-infinity')) entries
     ORDER BY log_id, partition_number, segment, first_offset, next_offset < first_offset, next_offset, stored_at";

const OFFSETS: &str = "
    SELECT log_id, partition_number, o.group_id, o.start_offset, o.next_offset, o.quarantine_reason,
           c.horizon, c.next_offset, c.stored_rows
      FROM (SELECT * FROM stored_offsets WHERE target = $1) o
      FULL JOIN (SELECT * FROM retention_checkpoints WHERE target = $1) c USING (log_id, partition_number)";

/// What the other parts must know beforehand.
pub(super) struct History {
    /// Partitions in which a command moved the stored offset back: offsets repeat there.
    pub(super) went_back: Vec<At>,
    /// Whether any dead letter was replayed.
    pub(super) replays: bool,
}

pub(super) async fn read(client: &Client, target: &str, audit: &mut Audit) -> Result<History> {
    read_logs(client, audit).await?;
    read_offsets(client, target, audit).await?;
    let went_back = walk(client, target, audit).await?;
    let asked = "SELECT EXISTS (SELECT FROM dead_letters WHERE target = $1 AND status = 'replayed')";
    let row = client.query_one(asked, &[&target]).await.map_err(Error::doing("looking for replayed letters"))?;
    Ok(History { went_back, replays: row.get(0) })
}

async fn read_logs(client: &Client, audit: &mut Audit) -> Result<()> {
    let logs = client.query("SELECT log_id, topic, topic_id FROM kafka_logs", &[]).await;
    for row in logs.map_err(Error::doing("reading the logs' names"))? {
        audit.topics.insert(row.get(0), (row.get(1), row.get(2)));
    }
    Ok(())
}

async fn read_offsets(client: &Client, target: &str, audit: &mut Audit) -> Result<()> {
    for row in client.query(OFFSETS, &[&target]).await.map_err(Error::doing("reading the stored offsets"))? {
        let partition = audit.partition((row.get(0), row.get(1)));
        partition.group_id = row.get(2);
        partition.next_offset = row.get(4);
        partition.quarantine = row.get(5);
        partition.horizon = row.get(6);
        let dropped_to: Option<i64> = row.get(7);
        partition.from_offset = dropped_to.or(row.get(3)).unwrap_or(0);
        partition.dropped_rows = row.get::<_, Option<i64>>(8).map_or(0, unsigned);
    }
    Ok(())
}

/// Goes along every chain; the partitions in which a command went back.
async fn walk(client: &Client, target: &str, audit: &mut Audit) -> Result<Vec<At>> {
    const DOING: &str = "reading the ledger";
    let values: [&(dyn ToSql + Sync); 1] = [&target];
    let mut rows = pin!(client.query_raw(CHAIN, values).await.map_err(Error::doing(DOING))?);
    let mut chains: BTreeMap<At, Chain> =
        audit.partitions.iter().map(|(at, partition)| (*at, Chain::new(partition.from_offset))).collect();
    let mut went_back = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(Error::doing(DOING))? {
        let at = (row.get(0), row.get(1));
        let (first, next): (i64, i64) = (row.get(3), row.get(4));
        let entry = Entry::from_kind(row.get(2));
        // A partition that `stored_offsets` does not know begins wherever its ledger does.
        let chain = chains.entry(at).or_insert_with(|| Chain::new(first));
        if let Some((kind, from, to)) = chain.link(entry, first, next) {
            audit.find(at, kind, from, to);
        }
        if entry == Entry::Set && next < first && went_back.last() != Some(&at) {
            went_back.push(at);
        }
        count(audit, at, entry, (first, next), &row);
    }
    for (at, chain) in chains {
        match audit.partition(at).next_offset {
            Some(stored) => {
                if let Some((kind, from, to)) = chain.end(stored) {
                    audit.find(at, kind, from, to);
                }
            }
            None => audit.find(at, Kind::NoStoredOffset, chain.position(), chain.position()),
        }
    }
    Ok(went_back)
}

fn count(audit: &mut Audit, at: At, entry: Entry, (first, next): (i64, i64), row: &Row) {
    let partition = audit.partition(at);
    partition.entries += 1;
    partition.gap_offsets += unsigned(row.get(5));
    if entry == Entry::Batch {
        return;
    }
    partition.skipped_offsets += unsigned(next.saturating_sub(first));
    partition.reread_offsets += unsigned(first.saturating_sub(next));
    partition.command_count += 1;
    if partition.commands.len() < NAMED_COMMANDS {
        partition.commands.push(Command {
            kind: row.get(2),
            first_offset: first,
            next_offset: next,
            stored_at: row.get(6),
            consumer_id: row.get(7),
            reason: row.get(8),
        });
    }
}
