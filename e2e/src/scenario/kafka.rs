//! Faults of the log and of the group: brokers, topics, offsets, identities, poison, transactions.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, ensure};
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use testkit::wait_until;

use super::Scenario;
use super::trial::Trial;
use crate::load::Report;
use crate::plant::Plant;

mod broker;
mod identity;
mod log;
mod poison;
pub(super) mod topic;
mod transaction;

/// The log's and the group's lines of the matrix.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "broker kill -9", run: |site, rng| Box::pin(broker::killed(site, rng)) },
    Scenario { name: "group coordinator kill -9", run: |site, rng| Box::pin(broker::coordinator_killed(site, rng)) },
    Scenario { name: "broker SIGSTOP 8 s", run: |site, rng| Box::pin(broker::frozen(site, rng)) },
    Scenario { name: "poison, one in 10,000", run: |site, rng| Box::pin(poison::some(site, rng)) },
    Scenario { name: "poison, whole batches", run: |site, rng| Box::pin(poison::all(site, rng)) },
    Scenario { name: "topic re-created, fewer records", run: |site, rng| Box::pin(topic::shorter(site, rng)) },
    Scenario { name: "topic re-created, more records", run: |site, rng| Box::pin(topic::longer(site, rng)) },
    Scenario { name: "log truncated", run: |site, rng| Box::pin(log::truncated(site, rng)) },
    Scenario { name: "log truncated, grown again", run: |site, rng| Box::pin(log::grown_again(site, rng)) },
    Scenario { name: "retention passes the stored offset", run: |site, rng| Box::pin(log::deleted_unread(site, rng)) },
    Scenario { name: "static id twice", run: |site, rng| Box::pin(identity::static_twice(site, rng)) },
    Scenario { name: "dynamic id twice", run: |site, rng| Box::pin(identity::dynamic_twice(site, rng)) },
    Scenario { name: "group renamed", run: |site, rng| Box::pin(identity::renamed(site, rng)) },
    Scenario { name: "aborted transactions", run: |site, rng| Box::pin(transaction::aborted(site, rng)) },
];

/// Longest time until something that is wrong with the log must be noticed. A client that reads
/// on without an error is found out by its next batch, or after 30 s without a record.
const NOTICED: Duration = Duration::from_secs(60);

/// A client for admin calls.
fn admin(plant: &Plant) -> Result<(AdminClient<DefaultClientContext>, AdminOptions)> {
    let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(10)));
    Ok((plant.kafka_options().client("e2e-admin").create()?, options))
}

/// Waits until exactly these partitions of the newest log are in quarantine.
async fn quarantined(plant: &Plant, partitions: &[i32]) {
    wait_until(NOTICED, "the partitions are in quarantine", async || {
        quarantines(plant).await.is_ok_and(|found| found == partitions)
    })
    .await;
}

async fn quarantines(plant: &Plant) -> Result<Vec<i32>> {
    let rows = plant
        .connect()
        .await?
        .query(
            "SELECT partition_number FROM stored_offsets WHERE quarantine_reason IS NOT NULL \
                AND log_id = (SELECT max(log_id) FROM stored_offsets) ORDER BY 1",
            &[],
        )
        .await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

/// The alert: the journal has the quarantine of each partition, with words like these.
async fn alerted(plant: &Plant, partitions: &[i32], words: &str) {
    let wanted: BTreeSet<i32> = partitions.iter().copied().collect();
    let like = format!("%{words}%");
    wait_until(Duration::from_secs(30), "the journal has the quarantines", async || {
        let Ok(client) = plant.connect().await else { return false };
        let events = client
            .query(
                "SELECT partition_number FROM rebalancing_events WHERE event_type = 'quarantined' AND detail LIKE $1",
                &[&like],
            )
            .await;
        events.is_ok_and(|rows| rows.iter().map(|row| row.get::<_, i32>(0)).collect::<BTreeSet<_>>() == wanted)
    })
    .await;
}

/// Runs a command of `consumer offsets`, which must succeed.
async fn offsets(plant: &Plant, args: &[&str]) -> Result<()> {
    let args = [&["offsets"], args, &["--topic", &plant.topic, "--reason", "the fault matrix"]].concat();
    let (code, output) = plant.command(&args).await?;
    ensure!(code == 0, "consumer {args:?} ended with {code}:\n{output}");
    Ok(())
}

/// Rows of a load in these partitions.
async fn rows_in(plant: &Plant, report: &Report, partitions: &[i32]) -> Result<i64> {
    let row = plant
        .connect()
        .await?
        .query_one(
            "SELECT count(*) FROM sensor_readings WHERE run_id = $1 AND kafka_partition = ANY($2)",
            &[&report.run_id, &partitions],
        )
        .await?;
    Ok(row.get(0))
}

/// Sends a load of so many events and waits until all are acknowledged.
async fn send(trial: &mut Trial, count: u64) -> Result<Report> {
    trial.load(count, 0)?;
    trial.sent(count).await
}

/// The first failure of an admin call's answers.
fn accepted<T, E: std::fmt::Debug>(answers: Vec<Result<T, E>>) -> Result<()> {
    let refused = answers.into_iter().find_map(Result::err);
    refused.map_or(Ok(()), |error| Err(anyhow!("{error:?}"))).context("the brokers refused")
}
