//! Two processes with one name, and a group with a new one.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use testkit::wait_until;

use super::offsets;
use crate::oracle;
use crate::plant::{Plant, SESSION_MS, Settings, Site};
use crate::scenario::process::{any_protocol, id};
use crate::scenario::trial::Trial;
use crate::scenario::{HEAL, Hits};

/// `lifecycle::exit::USAGE`.
const USAGE: i32 = 64;
/// `lifecycle::exit::FENCED`.
const FENCED: i32 = 79;
/// Longest time until a program ends that has to.
const END: Duration = Duration::from_secs(30);

/// A second process with the same static id. Classic: the first is fenced and says so. KIP-848:
/// the second waits outside, and the first goes on undisturbed.
pub(super) async fn static_twice(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut hits = Hits::new();
    let assignor = if rng.random_bool(0.5) { "range" } else { "cooperative-sticky" };
    for protocol in ["consumer", "classic"] {
        let settings = Settings { protocol, assignor, static_membership: true, ..Settings::default() };
        let mut trial = Trial::begin(&site, settings, 2).await?;
        for _ in 0..2 {
            trial.progress(&mut rng).await?;
            let second = trial.plant.consumer(&id(1))?;
            if protocol == "classic" {
                let status = trial.consumers[0].wait(END).await.context("the first process was to be fenced")?;
                ensure!(status.code() == Some(FENCED), "the fenced process ended with {status}");
                trial.consumers[0] = second;
            } else {
                tokio::time::sleep(Duration::from_millis(u64::from(SESSION_MS))).await;
                trial.progress(&mut rng).await?;
                ensure!(trial.consumers[0].exited().is_none(), "the first process was disturbed");
                ensure!(
                    second.exited().is_none_or(|status| !status.success()),
                    "the second one gave up as if all was well"
                );
                second.kill();
            }
            trial.owned().await;
            trial.hit_with_protocol("static id twice");
        }
        hits.extend(trial.judged().await?);
    }
    Ok(hits)
}

/// Two dynamic members with the same name are two members: what is theirs is told apart by claims.
pub(super) async fn dynamic_twice(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 1).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        let second = trial.plant.consumer(&id(1))?;
        claimed_by(&trial.plant, 2).await;
        trial.progress(&mut rng).await?;
        if rng.random_bool(0.5) {
            second.kill();
        } else {
            trial.consumers[0].kill();
            trial.consumers[0] = second;
        }
        claimed_by(&trial.plant, 1).await;
        trial.hit_with_protocol("dynamic id twice");
    }
    trial.judged().await
}

/// Waits until the partitions are claimed by so many processes.
async fn claimed_by(plant: &Plant, processes: i64) {
    wait_until(END, "the partitions are claimed by that many processes", async || {
        let Ok(client) = plant.connect().await else { return false };
        client
            .query_one("SELECT count(DISTINCT boot_id) FROM stored_offsets", &[])
            .await
            .is_ok_and(|row| row.get::<_, i64>(0) == processes)
    })
    .await;
}

/// Another group on the same target is refused, whether the old one runs or not, by a message that
/// names the command; after the command it goes on where the old one was.
pub(super) async fn renamed(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 1).await?;
    let (old, new) = (trial.plant.group.clone(), format!("{}-renamed", trial.plant.group));
    kafka::admin::set_group_timeouts(&trial.plant.kafka_options(), "e2e", &new, SESSION_MS, 500).await?;

    trial.progress(&mut rng).await?;
    trial.plant.group.clone_from(&new);
    refused(&trial.plant).await?;
    trial.hit("another group beside the old one");
    trial.progress(&mut rng).await?;
    trial.plant.group = old;
    trial.consumers[0].term()?;
    trial.consumers[0].wait(END).await?;
    trial.plant.group.clone_from(&new);
    refused(&trial.plant).await?;
    trial.hit("another group after the old one");

    offsets(&trial.plant, &["adopt", "--group", &new]).await?;
    trial.start_consumer(1)?;
    trial.progress(&mut rng).await?;
    let report = trial.load_finished().await?;
    oracle::judge(&trial.plant, &report, HEAL).await?;
    trial.hit("adopted by another group");
    Ok(trial.passed())
}

async fn refused(plant: &Plant) -> Result<()> {
    let stranger = plant.consumer(&id(2))?;
    let status = stranger.wait(END).await.context("another group was to be refused")?;
    ensure!(status.code() == Some(USAGE), "it ended with {status}:\n{}", stranger.last_output());
    ensure!(stranger.output().contains("consumer offsets adopt"), "no way out named:\n{}", stranger.last_output());
    Ok(())
}
