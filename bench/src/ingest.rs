//! Ingest: the consumer draining a topic against raw COPY of that topic's rows.
//!
//! ```text
//! brokers <── N readings, lz4 ──> rows encoded beforehand ──> A  BEGIN, COPY, COMMIT; one connection
//!    └──────────────────────────────────────────────────────> B  `consumer sensors`, everything on
//! A B, then COPY by two connections and without indexes, then Python, and again; each into a fresh database of the
//! same server, after a checkpoint
//! ```

mod drain;
mod python;
mod reference;
mod rows;
mod table;

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Result, ensure};
use e2e::plant::Site;
use schema::topics::SENSOR_READINGS;
use tokio_postgres::Client;

use crate::cost::{Cost, threads};
use crate::machine;
use crate::pipeline::Pipeline;

use reference::{BARE, READINGS};

/// Who stores, in both kinds of run: the rows are the same to the byte but for `log_id`'s value.
const CONSUMER_ID: &str = "sensor-consumer-1";
/// Never runs out during a measurement.
const SESSION_MS: u32 = 30_000;

/// What to measure.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Readings in the topic
    #[arg(long, default_value_t = Self::default().rows)]
    pub rows: u64,
    /// Pairs of one raw COPY and one drain
    #[arg(long, default_value_t = Self::default().pairs, value_parser = clap::value_parser!(u32).range(1..))]
    pub pairs: u32,
    /// Rows in a transaction of the COPY, and most in one of the consumer
    #[arg(long, default_value_t = Self::default().batch, value_parser = clap::value_parser!(u32).range(1..=200_000))]
    pub batch: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self { rows: 3_000_000, pairs: 5, batch: 20_000 }
    }
}

/// One run of either kind.
#[derive(Debug)]
pub struct Run {
    /// Rows stored.
    pub rows: u64,
    /// From the start of the first transaction to the last commit.
    pub seconds: f64,
    /// CPU from the start of the client to the last commit.
    pub cost: Cost,
    /// Cores that nobody used, and that were used by others, while rows were being stored.
    pub idle_cores: f64,
    /// See `idle_cores`.
    pub others_cores: f64,
    /// WAL written meanwhile.
    pub wal_bytes: f64,
    /// Transactions with rows.
    pub transactions: u64,
    /// What only the consumer has.
    pub process: Option<drain::Process>,
    /// Load average at its start.
    pub load: String,
}

impl Run {
    /// Rows a second.
    pub fn rate(&self) -> f64 {
        self.rows as f64 / self.seconds
    }

    /// Seconds of CPU for a million rows.
    pub fn per_million(&self, seconds: f64) -> f64 {
        seconds / self.rows as f64 * 1e6
    }
}

/// Runs the pairs; answers with the section of the page.
///
/// # Errors
/// When a part does not run, or the rows stored are not the rows sent.
pub async fn run(options: &Options) -> Result<String> {
    let site = Site::start().await?;
    // The catalogue's topic, made by the migration of a database that nothing else uses.
    Pipeline::new(&site, SENSOR_READINGS.name, SESSION_MS).await?.remove().await?;
    let filled = rows::fill(&site, options.rows).await?;
    eprintln!("ingest: {} readings in the topic, {:.0} bytes of JSON each", options.rows, filled.mean_bytes);
    let encoded = rows::encode(&site, options).await?;
    eprintln!("ingest: read, decoded and encoded by one thread at {:.0} rows/s", encoded.rate);
    let python = python::Python::prepare()?;
    let (mut pairs, mut others) = (Vec::new(), Others::new());
    for number in 1..=options.pairs {
        let pipeline = fresh(&site).await?;
        let copy = reference::copy(&site, &pipeline, &encoded, READINGS, 1).await?;
        pipeline.remove().await?;
        let pipeline = fresh(&site).await?;
        let drain = drain::drain(&site, &pipeline, options).await?;
        pipeline.remove().await?;
        eprintln!(
            "ingest: pair {number}: COPY {:.0} rows/s, consumer {:.0} rows/s, ratio {:.2}",
            copy.rate(),
            drain.rate(),
            drain.rate() / copy.rate()
        );
        pairs.push((copy, drain));
        for (name, table, connections) in [
            ("raw COPY, two connections", READINGS, 2),
            ("raw COPY, table without indexes", BARE, 1),
            ("raw COPY, two connections, table without indexes", BARE, 2),
        ] {
            let pipeline = fresh(&site).await?;
            let run = reference::copy(&site, &pipeline, &encoded, table, connections).await?;
            pipeline.remove().await?;
            others.entry(name).or_default().push(run);
        }
        for (name, table) in [("Python, the same table", READINGS), ("Python, six plain columns", python::PLAIN)] {
            let pipeline = fresh(&site).await?;
            let run = python.drain(&site, &pipeline, options, table).await?;
            pipeline.remove().await?;
            eprintln!("ingest: pair {number}: {name} {:.0} rows/s", run.rate());
            others.entry(name).or_default().push(run);
        }
    }
    Ok(table::render(options, &filled, &encoded, &pairs, &others))
}

/// Runs of the other references, by what they are.
type Others = BTreeMap<&'static str, Vec<Run>>;

/// A fresh database, and a server that has nothing to write any more.
async fn fresh(site: &Arc<Site>) -> Result<Pipeline> {
    let pipeline = Pipeline::new(site, SENSOR_READINGS.name, SESSION_MS).await?;
    pipeline.connect().await?.batch_execute("CHECKPOINT").await?;
    Ok(pipeline)
}

/// Bytes of WAL written since the cluster was made.
async fn wal_bytes(client: &Client) -> Result<f64> {
    let row = client.query_one("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8", &[]).await?;
    Ok(row.get(0))
}

/// Fails unless exactly `rows` rows are stored.
async fn ensure_stored(client: &Client, table: &str, rows: u64) -> Result<()> {
    let stored: i64 = client.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await?.get(0);
    ensure!(u64::try_from(stored) == Ok(rows), "{stored} rows are stored of {rows} in {table}");
    Ok(())
}
