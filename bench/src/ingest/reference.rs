//! The references: raw binary COPY of rows that were encoded beforehand.

use std::pin::pin;
use std::time::Instant;

use anyhow::Result;
use bytes::Bytes;
use e2e::plant::Site;
use futures_util::SinkExt as _;
use futures_util::future::try_join_all;
use store::sensor_readings::BATCH;
use tokio_postgres::{Client, Statement};

use super::rows::Encoded;
use super::{Run, ensure_stored, wal_bytes};
use crate::cost::Meter;
use crate::machine::load_average;
use crate::pipeline::Pipeline;

/// Signature, flags and header extension length (PostgreSQL manual, COPY, "Binary Format").
const HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// A field count of -1.
const TRAILER: &[u8] = &[0xff, 0xff];

/// The table that consumers store into.
pub const READINGS: &str = "sensor_readings";
/// The same columns without partitions, constraints and indexes.
pub const BARE: &str = "bare_readings";

/// Stores all rows in `table` through `connections` connections, each with every so-many-th transaction.
///
/// # Errors
/// When Postgres refuses, or holds another number of rows afterwards.
pub async fn copy(site: &Site, pipeline: &Pipeline, encoded: &Encoded, table: &str, connections: usize) -> Result<Run> {
    let client = pipeline.connect().await?;
    client.batch_execute(&format!("CREATE TABLE {BARE} (LIKE {READINGS} INCLUDING DEFAULTS)")).await?;
    let mut writers = Vec::new();
    for _ in 0..connections {
        let client = pipeline.connect().await?;
        let statement = client.prepare(&BATCH.copy.replacen(READINGS, table, 1)).await?;
        writers.push((client, statement));
    }
    let meter = Meter::new(site, std::process::id())?;
    let (load, wal) = (load_average(), wal_bytes(&client).await?);
    let (before, began) = (meter.read(), Instant::now());
    try_join_all(writers.iter().enumerate().map(async |(n, (client, statement))| {
        for chunks in encoded.transactions.iter().skip(n).step_by(connections) {
            transaction(client, statement, chunks).await?;
        }
        anyhow::Ok(())
    }))
    .await?;
    let seconds = began.elapsed().as_secs_f64();
    let cost = meter.read().since(before);
    let wal = wal_bytes(&client).await? - wal;
    ensure_stored(&client, table, encoded.rows).await?;
    Ok(Run {
        rows: encoded.rows,
        seconds,
        cost,
        idle_cores: cost.idle / seconds,
        others_cores: cost.others / seconds,
        wal_bytes: wal,
        transactions: encoded.transactions.len() as u64,
        process: None,
        load,
    })
}

async fn transaction(client: &Client, statement: &Statement, chunks: &[Bytes]) -> Result<()> {
    client.batch_execute("BEGIN").await?;
    let mut sink = pin!(client.copy_in::<_, Bytes>(statement).await?);
    sink.feed(Bytes::from_static(HEADER)).await?;
    for chunk in chunks {
        sink.feed(chunk.clone()).await?;
    }
    sink.feed(Bytes::from_static(TRAILER)).await?;
    sink.finish().await?;
    client.batch_execute("COMMIT").await?;
    Ok(())
}
