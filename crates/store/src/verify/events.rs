//! The events themselves: none twice, and each sensor's in the order of sending.

use std::pin::pin;

use futures_util::TryStreamExt;
use tokio_postgres::Client;
use uuid::Uuid;

use super::coverage::own_rows;
use super::finding::Kind;
use super::ledger::History;
use super::{At, Audit};
use crate::error::{Error, Result};
use crate::sensor_readings::BATCH;

/// Sequence numbers that are looked at together: `range_agg` holds one such stretch in memory.
const STRETCH: i64 = 1 << 14;
/// Stretches whose doubled events are named.
const NAMED_STRETCHES: i64 = 20;

/// Finds events that are stored at two places. The same coordinates twice are the coverage's business.
pub(super) async fn doubled(client: &Client, audit: &mut Audit) -> Result<()> {
    let statement = format!(
        "SELECT producer_id, run_id, stretch
           FROM (SELECT producer_id, run_id, sequence / {STRETCH} AS stretch, count(*) AS n,
                        range_agg(int8range(sequence, sequence, '[]')) AS sequences
                   FROM sensor_readings GROUP BY 1, 2, 3) stretches
          WHERE n > (SELECT sum(upper(s) - lower(s)) FROM unnest(sequences) s)
          ORDER BY 1, 2, 3 LIMIT {NAMED_STRETCHES}"
    );
    let stretches = client.query(&statement, &[]).await.map_err(Error::doing("looking for doubled events"))?;
    if stretches.is_empty() {
        return Ok(());
    }
    let producers: Vec<&str> = stretches.iter().map(|row| row.get(0)).collect();
    let runs: Vec<Uuid> = stretches.iter().map(|row| row.get(1)).collect();
    let numbers: Vec<i64> = stretches.iter().map(|row| row.get(2)).collect();
    let statement = format!(
        "SELECT * FROM (
            SELECT log_id, kafka_partition, kafka_offset, producer_id, run_id, sequence,
                   lag((log_id, kafka_partition, kafka_offset)::text) OVER event AS before,
                   (log_id, kafka_partition, kafka_offset)
                       IS DISTINCT FROM lag((log_id, kafka_partition, kafka_offset)) OVER event AS elsewhere
              FROM sensor_readings
              JOIN unnest($1::text[], $2::uuid[], $3::bigint[]) AS t(p, r, stretch)
                ON producer_id = t.p AND run_id = t.r AND sequence / {STRETCH} = t.stretch
            WINDOW event AS (PARTITION BY producer_id, run_id, sequence
                             ORDER BY log_id, kafka_partition, kafka_offset)) events
          WHERE before IS NOT NULL AND elsewhere
          ORDER BY log_id, kafka_partition, kafka_offset"
    );
    let events = client.query(&statement, &[&producers, &runs, &numbers]).await;
    for row in events.map_err(Error::doing("naming doubled events"))? {
        let at: At = (row.get(0), row.get(1));
        let offset: i64 = row.get(2);
        audit.find_with(at, Kind::EventDoubled, (offset, offset + 1), || {
            let (producer, run, sequence): (&str, Uuid, i64) = (row.get(3), row.get(4), row.get(5));
            format!(
                "{producer} run {run} sequence {sequence} is at offset {offset} and at (log, partition, offset) {}",
                row.get::<_, &str>(6)
            )
        });
    }
    Ok(())
}

/// Finds sensors whose sequence numbers of one run fall while their offsets rise. Sensors are told
/// apart by 64-bit hashes (two alike would show as disorder, never hide one). Where a command moved
/// the stored offset back, offsets repeat, and the time of storing comes first.
pub(super) async fn disorder(client: &Client, history: &History) -> Result<Audit> {
    const DOING: &str = "looking for disorder";
    let (filter, time) = match history.went_back.as_slice() {
        [] => ("true".to_owned(), String::new()),
        partitions => {
            let list: Vec<String> = partitions.iter().map(|(log, partition)| format!("({log}, {partition})")).collect();
            let repeats = format!("(log_id, kafka_partition) IN ({})", list.join(", "));
            (own_rows(&BATCH, history), format!("CASE WHEN {repeats} THEN processing_timestamp END,"))
        }
    };
    let statement = format!(
        "SELECT log_id, kafka_partition, kafka_offset, sequence, before
           FROM (SELECT log_id, kafka_partition, kafka_offset, sequence, lag(sequence) OVER (
                            PARTITION BY hashtextextended(sensor_id, hashtextextended(producer_id,
                                uuid_hash_extended(run_id, (log_id::bigint << 32) + kafka_partition)))
                            ORDER BY {time} kafka_offset) AS before
                   FROM sensor_readings r WHERE {filter}) readings
          WHERE sequence < before ORDER BY 1, 2, 3"
    );
    let mut audit = Audit::default();
    let nothing: [&str; 0] = [];
    let mut rows = pin!(client.query_raw(&statement, nothing).await.map_err(Error::doing(DOING))?);
    while let Some(row) = rows.try_next().await.map_err(Error::doing(DOING))? {
        let offset: i64 = row.get(2);
        audit.find_with((row.get(0), row.get(1)), Kind::Disorder, (offset, offset + 1), || {
            let (sequence, before): (i64, i64) = (row.get(3), row.get(4));
            format!("sequence {sequence} at offset {offset} follows {before}")
        });
    }
    Ok(audit)
}
