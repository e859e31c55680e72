//! The oracle: SQL after healing. Acknowledged events are required, unacknowledged ones allowed,
//! any (producer, run, sequence) twice is a failure, a sensor's order is kept, and the alarms are those that the
//! stored readings amount to.

mod alarms;

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::Report;
use crate::plant::Plant;

/// Waits until the log is stored, then asks the database and `consumer verify`.
///
/// # Errors
/// What is missing, doubled or out of order, with the first few of them.
pub async fn judge(plant: &Plant, report: &Report, deadline: Duration) -> Result<()> {
    plant.drained(deadline).await?;
    rows_are_exact(plant, report).await?;
    let (code, output) = plant.command(&["verify"]).await?;
    ensure!(code == 0, "consumer verify ended with {code}:\n{output}");
    Ok(())
}

/// The rows and letters of one load against what it sent.
///
/// # Errors
/// As [`judge`].
pub async fn rows_are_exact(plant: &Plant, report: &Report) -> Result<()> {
    let client = plant.connect().await?;
    let twice = client
        .query(
            "SELECT producer_id, sequence, array_agg(kafka_offset), array_agg(kafka_partition), \
                    array_agg(processed_by_consumer) FROM sensor_readings \
              GROUP BY producer_id, run_id, sequence HAVING count(*) > 1 ORDER BY 2 LIMIT 5",
            &[],
        )
        .await?;
    ensure!(
        twice.is_empty(),
        "stored twice, such as sequence {:?} at offsets {:?} of partitions {:?} by {:?}",
        twice.first().map(|row| row.get::<_, i64>(1)),
        twice.first().map(|row| row.get::<_, Vec<i64>>(2)),
        twice.first().map(|row| row.get::<_, Vec<i32>>(3)),
        twice.first().map(|row| row.get::<_, Vec<String>>(4)),
    );
    let disorder = client
        .query(
            "SELECT sensor_id, sequence FROM (SELECT sensor_id, sequence, lag(sequence) OVER w AS before \
               FROM sensor_readings WINDOW w AS (PARTITION BY sensor_id, run_id, kafka_partition, log_id ORDER BY kafka_offset)) s \
              WHERE before >= sequence LIMIT 5",
            &[],
        )
        .await?;
    ensure!(disorder.is_empty(), "out of order: {:?}", disorder.first().map(|row| row.get::<_, String>(0)));

    let sums = client
        .query_one(
            "SELECT array[sum(stored_rows) FILTER (WHERE resolution_s = 1), sum(dead_letters) FILTER (WHERE resolution_s = 1), \
                    sum(stored_rows) FILTER (WHERE resolution_s = 60), sum(dead_letters) FILTER (WHERE resolution_s = 60)]::bigint[], \
                    (SELECT array[sum(stored_rows), sum(dead_letters), sum(stored_rows), sum(dead_letters)]::bigint[] \
                       FROM batch_ledger WHERE kind = 'batch') FROM throughput",
            &[],
        )
        .await?;
    let (summed, entered): (Vec<i64>, Vec<i64>) = (sums.get(0), sums.get(1));
    ensure!(summed == entered, "sums per second and minute {summed:?}, the ledger's {entered:?}");

    alarms::are_exact(&client).await?;

    let rows = client
        .query(
            "SELECT sequence FROM sensor_readings WHERE producer_id = $1 AND run_id = $2",
            &[&report.producer_id, &report.run_id],
        )
        .await?;
    let stored: BTreeSet<u64> = rows.iter().map(|row| row.get::<_, i64>(0).unsigned_abs()).collect();
    let poisoned = |sequence: &u64| report.poison_every > 0 && sequence.is_multiple_of(report.poison_every);
    let missing: Vec<u64> = (0..report.sent)
        .filter(|s| !poisoned(s) && !stored.contains(s) && !report.unacknowledged.contains(s))
        .collect();
    ensure!(missing.is_empty(), "{} of {} missing, from sequence {:?}", missing.len(), report.sent, missing.first());
    let alien: Vec<&u64> = stored.iter().filter(|s| **s >= report.sent || poisoned(s)).collect();
    ensure!(alien.is_empty(), "rows that were never sent: {alien:?}");

    if report.poison_every > 0 {
        let letters: Vec<u64> = client
            .query("SELECT convert_from(payload, 'UTF8') FROM dead_letters", &[])
            .await?
            .iter()
            .filter_map(|row| row.get::<_, String>(0).strip_prefix("poison ")?.parse().ok())
            .collect();
        let distinct: BTreeSet<u64> = letters.iter().copied().collect();
        ensure!(distinct.len() == letters.len(), "a dead letter is there twice");
        let lost = (0..report.sent).filter(|s| poisoned(s) && !distinct.contains(s)).count();
        ensure!(lost == 0, "{lost} of {} poison records have no dead letter", report.poison());
    }
    Ok(())
}
