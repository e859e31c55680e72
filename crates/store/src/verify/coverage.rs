//! The rows and dead letters against the ledger, transaction by transaction.
//!
//! What a transaction stored is the set of its offsets (`range_agg`); it must be its ledger entry's
//! offsets less the gaps, each once.

use std::pin::pin;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use super::finding::Kind;
use super::ledger::History;
use super::{At, Audit};
use crate::batch::Target;
use crate::count::unsigned;
use crate::error::{Error, Result};

/// Transactions whose doubled offsets are named one by one; those of others are counted.
const NAMED_TRANSACTIONS: usize = 50;

/// Of the target's rows `r`, those that are no replayed letter's: such a row belongs to the letter's transaction, not to
/// its own.
pub(super) fn own_rows(target: &Target, history: &History) -> String {
    if !history.replays {
        return "true".to_owned();
    }
    format!(
        "NOT EXISTS (
            SELECT FROM dead_letters d
             WHERE d.target = '{}' AND d.status = 'replayed' AND d.log_id = r.log_id
               AND d.partition_number = r.kafka_partition AND d.kafka_offset = r.kafka_offset
               AND d.replayed_at = r.processing_timestamp)",
        target.name
    )
}

fn statement(target: &Target, history: &History) -> String {
    let (table, filter) = (target.name, own_rows(target, history));
    format!(
        "
    WITH row_groups AS (
        SELECT r.log_id, r.kafka_partition AS partition_number, r.processing_timestamp AS stored_at,
               count(*) AS n, range_agg(int8range(r.kafka_offset, r.kafka_offset + 1)) AS offsets
          FROM {table} r WHERE {filter} GROUP BY 1, 2, 3
    ), letter_groups AS (
        SELECT log_id, partition_number, dead_at AS stored_at, count(*) AS n,
               count(*) FILTER (WHERE status = 'replayed') AS replayed,
               range_agg(int8range(kafka_offset, kafka_offset + 1)) AS offsets
          FROM dead_letters WHERE target = $1 GROUP BY 1, 2, 3
    ), entry_groups AS (
        SELECT l.log_id, l.partition_number, l.stored_at, min(l.first_offset) AS first_offset,
               coalesce(sum(l.stored_rows) FILTER (WHERE s.i IS NULL OR s.i = 1), 0)::bigint AS stored_rows,
               coalesce(sum(l.dead_letters) FILTER (WHERE s.i IS NULL OR s.i = 1), 0)::bigint AS dead_letters,
               range_agg(s.span) FILTER (WHERE s.span IS NOT NULL) AS offsets
          FROM batch_ledger l
          LEFT JOIN LATERAL unnest(CASE WHEN l.kind = 'batch' AND l.next_offset > l.first_offset
                        THEN int8multirange(int8range(l.first_offset, l.next_offset)) - l.gaps END)
               WITH ORDINALITY AS s(span, i) ON true
         WHERE l.target = $1 GROUP BY 1, 2, 3
    ), compared AS (
        SELECT log_id, partition_number, stored_at, coalesce(r.n, 0) AS rows, coalesce(d.n, 0) AS letters,
               coalesce(d.replayed, 0) AS replayed, e.stored_rows, e.dead_letters, e.first_offset,
               coalesce(r.offsets, '{{}}') + coalesce(d.offsets, '{{}}') AS found,
               coalesce(e.offsets, '{{}}') AS expected
          FROM row_groups r
          FULL JOIN letter_groups d USING (log_id, partition_number, stored_at)
          FULL JOIN entry_groups e USING (log_id, partition_number, stored_at)
    )
    SELECT log_id, partition_number, stored_at, rows, letters, replayed, stored_rows, dead_letters, first_offset,
           (SELECT coalesce(sum(upper(s) - lower(s)), 0)::bigint FROM unnest(found) s) AS different,
           CASE WHEN found <> expected THEN (expected - found)::text END AS missing,
           CASE WHEN found <> expected THEN (found - expected)::text END AS outside
      FROM compared
      LEFT JOIN (SELECT log_id, partition_number, horizon FROM retention_checkpoints WHERE target = $1) c
          USING (log_id, partition_number)
     WHERE stored_at >= coalesce(c.horizon, '-infinity')
     ORDER BY 1, 2, 3"
    )
}

/// Compares every transaction; the totals go into the partitions' lines.
pub(super) async fn compare(client: &Client, target: &Target, history: &History, audit: &mut Audit) -> Result<()> {
    const DOING: &str = "comparing rows with the ledger";
    let values: [&(dyn ToSql + Sync); 1] = [&target.name];
    let rows = client.query_raw(&statement(target, history), values).await.map_err(Error::doing(DOING))?;
    let mut rows = pin!(rows);
    let mut doubled = Vec::new();
    while let Some(row) = rows.try_next().await.map_err(Error::doing(DOING))? {
        let at: At = (row.get(0), row.get(1));
        let stored_at: Timestamp = row.get(2);
        let found = judge(audit, at, stored_at, &row);
        if found.doubled > 0 {
            if doubled.len() < NAMED_TRANSACTIONS {
                doubled.push((at, stored_at));
            } else {
                audit.find(at, Kind::Doubled, found.first, found.first + found.doubled);
            }
        }
    }
    name_doubled(client, target, &doubled, history, audit).await
}

/// Offsets that one transaction stored more than once, and the first offset of its entry.
struct Doubled {
    doubled: i64,
    first: i64,
}

fn judge(audit: &mut Audit, at: At, stored_at: Timestamp, row: &Row) -> Doubled {
    let (rows, letters): (i64, i64) = (row.get(3), row.get(4));
    let partition = audit.partition(at);
    partition.rows += unsigned(rows);
    partition.dead_letters += unsigned(letters);
    partition.replayed += unsigned(row.get(5));
    for (kind, column) in [(Kind::Missing, 10), (Kind::Outside, 11)] {
        let ranges: Option<&str> = row.get(column);
        ranges.into_iter().flat_map(ranges_of).for_each(|(from, to)| audit.find(at, kind, from, to));
    }
    let counted: (Option<i64>, Option<i64>) = (row.get(6), row.get(7));
    let first = row.get::<_, Option<i64>>(8).unwrap_or(0);
    if let (Some(stored_rows), Some(dead_letters)) = counted
        && (stored_rows, dead_letters) != (rows, letters)
    {
        audit.find_with(at, Kind::Miscounted, (first, first), || {
            format!(
                "the entry of {stored_at} from offset {first} counts {stored_rows} rows and {dead_letters} dead \
                 letters, there are {rows} and {letters}"
            )
        });
    }
    Doubled { doubled: rows + letters - row.get::<_, i64>(9), first }
}

/// Names the offsets that these transactions stored more than once.
async fn name_doubled(
    client: &Client,
    target: &Target,
    transactions: &[(At, Timestamp)],
    history: &History,
    audit: &mut Audit,
) -> Result<()> {
    if transactions.is_empty() {
        return Ok(());
    }
    let (table, filter) = (target.name, own_rows(target, history));
    let statement = format!(
        "SELECT log_id, partition_number, kafka_offset
           FROM unnest($2::int[], $3::int[], $4::timestamptz[]) AS t(log_id, partition_number, stored_at)
           JOIN (SELECT log_id, kafka_partition AS partition_number, processing_timestamp AS stored_at, kafka_offset
                   FROM {table} r WHERE {filter} AND r.processing_timestamp = ANY ($4)
                  UNION ALL
                 SELECT log_id, partition_number, dead_at, kafka_offset FROM dead_letters WHERE target = $1) s
          USING (log_id, partition_number, stored_at)
          GROUP BY 1, 2, 3 HAVING count(*) > 1 ORDER BY 1, 2, 3"
    );
    let logs: Vec<i32> = transactions.iter().map(|t| t.0.0).collect();
    let partitions: Vec<i32> = transactions.iter().map(|t| t.0.1).collect();
    let times: Vec<Timestamp> = transactions.iter().map(|t| t.1).collect();
    let rows = client.query(&statement, &[&target.name, &logs, &partitions, &times]).await;
    for row in rows.map_err(Error::doing("naming doubled rows"))? {
        let offset: i64 = row.get(2);
        audit.find((row.get(0), row.get(1)), Kind::Doubled, offset, offset + 1);
    }
    Ok(())
}

/// Compares the replayed letters with their rows, which keep the original coordinates.
pub(super) async fn compare_replays(client: &Client, target: &Target, audit: &mut Audit) -> Result<()> {
    const DOING: &str = "comparing replayed letters with their rows";
    let statement = format!(
        "
        SELECT d.log_id, d.partition_number, d.kafka_offset, count(r.kafka_offset), min(d.id)
          FROM dead_letters d
          LEFT JOIN retention_checkpoints c USING (target, log_id, partition_number)
          LEFT JOIN {} r
            ON r.log_id = d.log_id AND r.kafka_partition = d.partition_number AND r.kafka_offset = d.kafka_offset
           AND r.processing_timestamp = d.replayed_at
         WHERE d.target = $1 AND d.status = 'replayed' AND d.replayed_at >= coalesce(c.horizon, '-infinity')
         GROUP BY 1, 2, 3 HAVING count(r.kafka_offset) <> 1 ORDER BY 1, 2, 3",
        target.name
    );
    let values: [&(dyn ToSql + Sync); 1] = [&target.name];
    let mut rows = pin!(client.query_raw(&statement, values).await.map_err(Error::doing(DOING))?);
    while let Some(row) = rows.try_next().await.map_err(Error::doing(DOING))? {
        let (offset, count, id): (i64, i64, i64) = (row.get(2), row.get(3), row.get(4));
        let kind = if count == 0 { Kind::ReplayMissing } else { Kind::ReplayDoubled };
        let example = || format!("dead letter {id} has {count} rows");
        audit.find_with((row.get(0), row.get(1)), kind, (offset, offset + 1), example);
    }
    Ok(())
}

/// Reads `int8multirange`'s text form, `{[1,5),[7,8)}`.
fn ranges_of(text: &str) -> impl Iterator<Item = (i64, i64)> {
    let inner = text.trim_start_matches(['{', '[']).trim_end_matches([')', '}']);
    inner.split("),[").filter_map(|range| {
        let (from, to) = range.split_once(',')?;
        Some((from.parse().ok()?, to.parse().ok()?))
    })
}

#[cfg(test)]
mod tests {
    use super::ranges_of;

    #[test]
    fn multiranges_are_read() {
        assert_eq!(ranges_of("{[1,5),[7,8)}").collect::<Vec<_>>(), [(1, 5), (7, 8)]);
        assert_eq!(ranges_of("{}").count(), 0);
    }
}
