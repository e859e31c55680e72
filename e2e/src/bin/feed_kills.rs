//! Breaks a running stack under a crowd of the tweet API, as a user would: `make feed-kills`. Each worker, the API, PostgreSQL and
//! a broker are killed, a worker is frozen inside a range; then every feed is held against what the crowd was answered,
//! and `make verify` has the last word. Works on either kind of stack, because it only types what people type.

use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::Parser;
use e2e::clients::Clients;
use e2e::crowd::{Crowd, Held, SETTINGS, hold_a_range};
use tokio_postgres::{Client, NoTls};

/// Kills each part of the tweet feed while a crowd uses it, and holds every feed against what the crowd was answered
#[derive(Parser)]
struct Options {
    /// Port of the running API
    #[arg(long)]
    port: u16,
    /// The stack's database
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
    /// Of who posts and follows what; a random one is printed
    #[arg(long)]
    seed: Option<u64>,
}

/// Killed in turn, and started again.
const WORKERS: [&str; 4] = ["feed-worker-0", "feed-worker-1", "feed-worker-2", "feed-worker-3"];
const OTHERS: [&str; 3] = ["tweet-api", "postgres", "kafka2"];
/// Between two faults.
const CALM: Duration = Duration::from_secs(2);
/// Longer than a session: the worker is expelled.
const FROZEN: Duration = Duration::from_secs(11);

#[tokio::main]
async fn main() -> Result<()> {
    let Options { port, database_url, seed } = Options::parse();
    let seed = seed.unwrap_or_else(testkit::seed);
    let sql = connect(&database_url).await?;
    let read = "SELECT range_above, range_rows, pull_above, keep_items FROM feed_settings";
    let before = sql.query_one(read, &[]).await?;
    sql.batch_execute(SETTINGS).await?;
    let held = break_it(port, &database_url, seed).await;
    let back = "UPDATE feed_settings SET range_above = $1, range_rows = $2, pull_above = $3, keep_items = $4";
    let (above, rows, pull, keep): (i64, i32, i64, i32) = (before.get(0), before.get(1), before.get(2), before.get(3));
    connect(&database_url).await?.execute(back, &[&above, &rows, &pull, &keep]).await?;
    let Held { tweets, deleted, feeds } = held?;
    println!("{tweets} tweets accepted, {deleted} of them deleted; {feeds} feeds are what was answered");
    make("verify", None)
}

async fn break_it(port: u16, database_url: &str, seed: u64) -> Result<Held> {
    let clients = Clients::new(&[port])?;
    clients.ready().await;
    let crowd = Crowd::gather(clients, &format!("crowd-{:x}-", jiff::Timestamp::now().as_millisecond()), seed).await?;
    for name in WORKERS.iter().chain(&OTHERS) {
        tokio::time::sleep(CALM).await;
        make("kill", Some(name))?;
        make("start", Some(name))?;
    }
    let (holding, sql) = (connect(database_url).await?, connect(database_url).await?);
    let session = hold_a_range(&holding, &sql).await?;
    let frozen = WORKERS.iter().find(|name| session.contains(**name)).context("the worker's name")?;
    make("pause", Some(frozen))?;
    holding.batch_execute("COMMIT").await?;
    tokio::time::sleep(FROZEN).await;
    make("unpause", Some(frozen))?;
    tokio::time::sleep(CALM).await;
    crowd.hold(&sql).await
}

async fn connect(database_url: &str) -> Result<Client> {
    let (client, connection) = tokio_postgres::connect(database_url, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// A target of the Makefile, with its words on our own output.
fn make(target: &str, name: Option<&str>) -> Result<()> {
    let status = Command::new("make").arg(target).args(name.map(|name| format!("NAME={name}"))).status()?;
    ensure!(status.success(), "make {target} {} ended with {status}", name.unwrap_or_default());
    Ok(())
}
