//! The consumer as it is used, draining the topic from its start into a fresh database.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use e2e::plant::Site;
use jiff::Timestamp;
use store::sensor_readings::TARGET;
use tokio_postgres::Client;

use super::{CONSUMER_ID, Options, Run, ensure_stored, threads, wal_bytes};
use crate::cost::{Meter, peak_mib};
use crate::machine::load_average;
use crate::pipeline::Pipeline;

/// What only a process has.
#[derive(Debug)]
pub struct Process {
    /// From its start to the start of its first transaction.
    pub first_row_seconds: f64,
    /// Most memory it held.
    pub peak_mib: f64,
    /// CPU seconds by kind of thread.
    pub threads: BTreeMap<&'static str, f64>,
}

/// Between two looks at the stored offsets.
const LOOK: Duration = Duration::from_millis(20);

/// Runs `consumer sensors` until the topic is stored.
///
/// # Errors
/// When it ends early, needs more than ten minutes, or stores another number of rows.
pub async fn drain(site: &Site, pipeline: &Pipeline, options: &Options) -> Result<Run> {
    let client = pipeline.connect().await?;
    let (load, wal) = (load_average(), wal_bytes(&client).await?);
    let started_at = Timestamp::now();
    let consumer = pipeline.consumer(CONSUMER_ID, ["--batch-max-records", &options.batch.to_string()])?;
    let meter = Meter::new(site, consumer.id())?;
    // The process has just begun: what it used so far is part of what it costs.
    let start = crate::cost::Cost { client: 0.0, ..meter.read() };
    let began = Instant::now();
    let mut first = None;
    loop {
        let stored = stored_records(&client).await?;
        if stored > 0 {
            first.get_or_insert_with(|| (Instant::now(), meter.read()));
        }
        if stored >= options.rows {
            break;
        }
        ensure!(consumer.exited().is_none(), "the consumer ended:\n{}", consumer.last_output());
        ensure!(
            began.elapsed() < Duration::from_secs(600),
            "{stored} rows in ten minutes:\n{}",
            consumer.last_output()
        );
        tokio::time::sleep(LOOK).await;
    }
    let end = meter.read();
    let (storing_since, storing) = first.expect("rows were seen before all of them were");
    let storing_seconds = storing_since.elapsed().as_secs_f64();
    let process = (peak_mib(consumer.id()), threads(consumer.id()));
    let wal = wal_bytes(&client).await? - wal;
    consumer.term()?;
    consumer.wait(Duration::from_secs(10)).await?;
    ensure_stored(&client, TARGET, options.rows).await?;

    let ledger = client
        .query_one(
            "SELECT min(stored_at), extract(epoch FROM max(committed_at) - min(stored_at))::float8, \
                    count(DISTINCT stored_at) FROM batch_ledger_commits WHERE kind = 'batch'",
            &[],
        )
        .await?;
    let first_row: Timestamp = ledger.get(0);
    let during = end.since(storing);
    Ok(Run {
        rows: options.rows,
        seconds: ledger.get(1),
        cost: end.since(start),
        idle_cores: during.idle / storing_seconds,
        others_cores: during.others / storing_seconds,
        wal_bytes: wal,
        transactions: u64::try_from(ledger.get::<_, i64>(2)).unwrap_or(0),
        process: Some(Process {
            first_row_seconds: first_row.duration_since(started_at).as_secs_f64(),
            peak_mib: process.0,
            threads: process.1,
        }),
        load,
    })
}

/// Every partition begins at offset 0 and has no gaps, so stored offsets count records.
async fn stored_records(client: &Client) -> Result<u64> {
    let row = client.query_one("SELECT coalesce(sum(next_offset), 0)::bigint FROM stored_offsets", &[]).await?;
    Ok(u64::try_from(row.get::<_, i64>(0)).unwrap_or(0))
}
