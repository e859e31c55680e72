//! The group lives on without its database: members come, go and are killed; the journal keeps it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use rand::RngExt as _;
use rand::rngs::StdRng;
use testkit::wait_until;

use super::pause;
use crate::plant::{SESSION_MS, Settings, Site};
use crate::scenario::process::{any_protocol, id, owned_by};
use crate::scenario::trial::Trial;
use crate::scenario::{Hits, journal};

/// Longest time that the group may take for one change.
const CHANGE: Duration = Duration::from_secs(30);

/// One member, three, two, and Postgres dead all the time. The two that come were members before
/// and lost their session; a process that never saw the schema waits for it outside the group.
pub(super) async fn scaled(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for _ in 0..2 {
        trial.owned().await;
        trial.progress(&mut rng).await?;
        for number in [2, 3] {
            trial.consumers[number - 1].stop()?;
        }
        taken_over(&trial, 1).await;
        let died_at = Timestamp::now();
        site.postgres.kill();

        // 1 -> 3.
        let assigned = |number: usize| journal::spooled(&trial.plant, &id(number), "assigned");
        let before = [assigned(2), assigned(3)];
        for number in [2, 3] {
            trial.consumers[number - 1].cont()?;
        }
        wait_until(CHANGE, "both are assigned partitions without Postgres", async || {
            assigned(2) > before[0] && assigned(3) > before[1]
        })
        .await;
        pause(&mut rng, 500..2_000).await;
        // 3 -> 2.
        let (leaver, stayer) = if rng.random_bool(0.5) { (1, 2) } else { (2, 1) };
        let (one, other) = (assigned(1), assigned(stayer + 1));
        trial.consumers[leaver].term()?;
        let status = trial.consumers[leaver].wait(Duration::from_secs(5)).await.context("SIGTERM without Postgres")?;
        ensure!(status.code() == Some(0), "it ended with {status}");
        wait_until(CHANGE, "the two that stay take its partitions", async || {
            assigned(1) > one || assigned(stayer + 1) > other
        })
        .await;
        trial.start_consumer(leaver + 1)?;
        // Longer than a session: whoever did not answer would be thrown out.
        tokio::time::sleep(Duration::from_millis(u64::from(SESSION_MS) + 500)).await;

        let back_at = Timestamp::now();
        site.postgres.start_again().await?;
        trial.owned().await;
        journal::arrived(&trial.plant).await;
        let lost: Vec<_> = journal::between(&trial.plant, died_at, back_at)
            .await?
            .into_iter()
            .filter(|event| event.event_type == "lost" && event.consumer_id == id(1))
            .collect();
        ensure!(lost.is_empty(), "the member that stayed was thrown out: {lost:?}");
        trial.hit_with_protocol("1 -> 3 -> 2 without Postgres");
    }
    trial.judged().await
}

/// Waits until member `number` has every partition.
async fn taken_over(trial: &Trial, number: usize) {
    let owner = id(number);
    wait_until(CHANGE, "one member owns everything", async || {
        let Ok(client) = trial.plant.connect().await else { return false };
        client
            .query_one("SELECT count(*) FROM stored_offsets WHERE owner <> $1", &[&owner])
            .await
            .is_ok_and(|row| row.get::<_, i64>(0) == 0)
    })
    .await;
}

/// Thirty seconds, in which a member leaves, another is killed, and both start again: every event
/// that was spooled arrives, those of the dead processes too.
pub(super) async fn long(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, Settings { partitions: 6, ..any_protocol(&mut rng) }, 3).await?;
    trial.progress(&mut rng).await?;
    let died_at = Timestamp::now();
    site.postgres.kill();
    let back = tokio::time::Instant::now() + Duration::from_secs(30);
    let assigned = |trial: &Trial| journal::spooled(&trial.plant, &id(1), "assigned");

    let before = assigned(&trial);
    trial.consumers[2].term()?;
    trial.consumers[2].wait(Duration::from_secs(5)).await.context("SIGTERM without Postgres")?;
    wait_until(CHANGE, "a leave is answered", async || assigned(&trial) > before).await;
    let before = assigned(&trial);
    trial.consumers[1].kill();
    wait_until(CHANGE, "a kill is answered", async || assigned(&trial) > before).await;
    trial.start_consumer(2)?;
    trial.start_consumer(3)?;
    tokio::time::sleep_until(back).await;
    let back_at = Timestamp::now();
    site.postgres.start_again().await?;

    owned_by(&trial.plant, 3).await;
    journal::arrived(&trial.plant).await;
    let events = journal::between(&trial.plant, died_at, back_at).await?;
    let saw = |number: usize, event_type: &str| {
        events.iter().any(|event| event.consumer_id == id(number) && event.event_type == event_type)
    };
    ensure!(saw(3, "leaving") && saw(3, "stopped"), "the leave is missing: {events:?}");
    ensure!(saw(1, "assigned") && saw(1, "paused"), "the survivor's events are missing: {events:?}");
    ensure!(!saw(1, "lost"), "the survivor was thrown out: {events:?}");
    trial.hit("30 s without Postgres, a leave in it");
    trial.hit("30 s without Postgres, a kill in it");
    trial.judged().await
}
