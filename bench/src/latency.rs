//! From a producer to a row that others can see, at a modest rate: what a user waits for.
//!
//! `producer sensor` stamps each reading with its clock; the row is visible at the commit time that Postgres keeps
//! (`track_commit_timestamp`). Both are clocks of this machine. Percentiles are taken by windows of a few seconds, so
//! that one bad moment of a shared machine shows as one bad window.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::plant::Site;
use schema::topics::SENSOR_READINGS;
use testkit::{Program, Scratch};

use crate::machine::load_average;
use crate::pipeline::Pipeline;
use crate::spread::Spread;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Readings a second
    #[arg(long, default_value_t = Self::default().rate)]
    pub rate: u32,
    /// Windows that percentiles are taken of
    #[arg(long, default_value_t = Self::default().windows)]
    pub windows: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { rate: 1_000, windows: 20 }
    }
}

/// Seconds of a window.
const WINDOW_S: u32 = 3;
/// Seconds before the first: joins, claims, first connections.
const WARM_UP_S: u32 = 12;
const SESSION_MS: u32 = 6_000;

/// Two consumers, one producer; answers with the section of the page.
///
/// # Errors
/// When a process ends early, or too few windows were stored.
pub async fn run(options: &Options) -> Result<String> {
    let site = Site::start().await?;
    let pipeline = Pipeline::new(&site, SENSOR_READINGS.name, SESSION_MS).await?;
    let none: [&str; 0] = [];
    let consumers = [pipeline.consumer("sensor-consumer-1", none)?, pipeline.consumer("sensor-consumer-2", none)?];
    let scratch = Scratch::new("bench")?;
    let producer = Program::named("producer")?
        .args(["sensor", "--type", "temperature", "--id", "latency", "--sensors", "100"])
        .args(["--rate", &options.rate.to_string()])
        .env("KAFKA_BROKERS", site.kafka.bootstrap())
        .env("DATABASE_URL", pipeline.url())
        .spawn(&scratch.path().join("producer"))?;
    let seconds = WARM_UP_S + (options.windows + 1) * WINDOW_S;
    tokio::time::sleep(Duration::from_secs(seconds.into())).await;
    for process in consumers.iter().chain([&producer]) {
        ensure!(process.exited().is_none(), "a process ended:\n{}", process.last_output());
    }
    producer.term()?;
    producer.wait(Duration::from_secs(20)).await?;

    let client = pipeline.connect().await?;
    let statement = format!(
        "WITH seen AS (
             SELECT floor(extract(epoch FROM r.event_time - min(r.event_time) OVER ()) / {WINDOW_S})::float8 AS number,
                    1000 * extract(epoch FROM c.committed_at - r.event_time)::float8 AS ms
               FROM sensor_readings r
               JOIN batch_ledger_commits c ON c.log_id = r.log_id AND c.partition_number = r.kafka_partition
                AND c.stored_at = r.processing_timestamp)
         SELECT percentile_cont(array[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY ms) FROM seen
          WHERE number >= $1 GROUP BY number HAVING count(*) > 0.9 * {WINDOW_S} * $2::float8 ORDER BY number LIMIT $3"
    );
    let first = f64::from(WARM_UP_S / WINDOW_S);
    let windows = i64::from(options.windows);
    let rows = client.query(&statement, &[&first, &f64::from(options.rate), &windows]).await?;
    ensure!(rows.len() as i64 == windows, "{} windows of {windows} were stored", rows.len());
    let windows: Vec<Vec<f64>> = rows.iter().map(|row| row.get(0)).collect();
    let spread = |at: usize| Spread::of(windows.iter().map(|window| window[at]));
    let mut text = format!(
        "{} readings/s over 6 partitions, 2 consumers, {} windows of {WINDOW_S} s; milliseconds from the producer's \
         clock to the commit, median of the windows (smallest-largest); load average at the end {}.\n\n\
         | percentile of a window | ms | goal |\n|---|---|---|\n",
        options.rate,
        options.windows,
        load_average(),
    );
    for (name, at, goal) in [("p50", 0, "20"), ("p95", 1, ""), ("p99", 2, "100")] {
        let _ = writeln!(text, "| {name} | {:.1} | {goal} |", spread(at));
    }
    Ok(text)
}
