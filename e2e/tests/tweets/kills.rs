//! A crowd at two processes of the API while everything is killed in turn (`e2e::crowd`).

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use e2e::clients::Clients;
use e2e::crowd::{Crowd, SETTINGS, hold_a_range};
use e2e::plant::{Plant, Site};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use testkit::{Process, free_port};
use tokio_postgres::Client;

use super::plant;

const WORKERS: [&str; 4] = ["feed-worker-0", "feed-worker-1", "feed-worker-2", "feed-worker-3"];
const APIS: [&str; 2] = ["tweet-api", "tweet-api-2"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_feed_is_what_was_answered_whatever_is_killed() -> Result<()> {
    let seed = testkit::seed();
    run(seed).await.with_context(|| format!("TEST_SEED={seed}"))
}

async fn run(seed: u64) -> Result<()> {
    let mut rng = StdRng::seed_from_u64(seed);
    let site = Site::start().await?;
    let plant = plant(&site).await?;
    let sql = plant.connect().await?;
    sql.batch_execute(SETTINGS).await?;
    let ports = [free_port(), free_port()];
    let mut apis = start_apis(&plant, ports)?;
    let mut workers = WORKERS.map(|id| plant.consumer(id)).into_iter().collect::<Result<Vec<_>>>()?;
    let clients = Clients::new(&ports)?;
    clients.ready().await;
    let crowd = Crowd::gather(clients, "user", seed).await?;

    for (worker, id) in WORKERS.into_iter().enumerate() {
        pause(&mut rng, 500..1_500).await;
        workers[worker].kill();
        workers[worker] = plant.consumer(id)?;
    }
    for api in 0..APIS.len() {
        pause(&mut rng, 500..1_500).await;
        apis[api].kill();
        apis[api] = plant.api(APIS[api], ports[api], &[])?;
    }
    let frozen = freeze_in_a_range(&plant, &sql, &workers).await?;
    pause(&mut rng, 4_000..5_000).await;
    workers[frozen].cont()?;
    pause(&mut rng, 500..1_500).await;
    site.postgres.kill();
    pause(&mut rng, 500..2_000).await;
    site.postgres.start_again().await?;
    pause(&mut rng, 500..1_500).await;
    let broker = site.kafka.broker(rng.random_range(1..=3));
    broker.kill();
    pause(&mut rng, 2_000..4_000).await;
    broker.start()?;
    pause(&mut rng, 1_000..2_000).await;

    let sql = plant.connect().await?;
    let held = crowd.hold(&sql).await?;
    let shown = "SELECT count(*) FILTER (WHERE pulled), count(*) FILTER (WHERE audience BETWEEN 16 AND 70), \
         (SELECT count(*) FROM feed_floors) FROM tweets";
    let row = sql.query_one(shown, &[]).await?;
    let (pulled, ranged, trimmed): (i64, i64, i64) = (row.get(0), row.get(1), row.get(2));
    ensure!(pulled > 0 && ranged > 0 && trimmed > 0, "{pulled} pulled, {ranged} in ranges, {trimmed} trimmed feeds");
    let (code, said) = plant.command(&["verify", "--target", "tweet_records"]).await?;
    ensure!(code == 0, "{said}");
    eprintln!("{held:?}, {pulled} pulled, {ranged} in ranges, {trimmed} trimmed feeds");
    Ok(())
}

fn start_apis(plant: &Plant, ports: [u16; 2]) -> Result<Vec<Process>> {
    APIS.iter().zip(ports).map(|(id, port)| plant.api(id, port, &[])).collect()
}

/// Stops (SIGSTOP) a worker whose session is inside the serving of a range; which one.
async fn freeze_in_a_range(plant: &Plant, sql: &Client, workers: &[Process]) -> Result<usize> {
    let name = hold_a_range(sql, &plant.connect().await?).await?;
    let frozen = WORKERS.iter().position(|id| name.contains(id)).context("the worker's name")?;
    workers[frozen].stop()?;
    sql.batch_execute("COMMIT").await?;
    Ok(frozen)
}

async fn pause(rng: &mut StdRng, ms: std::ops::Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(ms))).await;
}
