//! The topic is deleted and created again under its old name: another log. Nothing of it is stored
//! until somebody adopts it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use testkit::wait_until;

use super::{accepted, admin, alerted, offsets, quarantined, rows_in, send};
use crate::oracle;
use crate::plant::{Plant, Settings, Site};
use crate::scenario::trial::Trial;
use crate::scenario::{HEAL, Hits};

/// Events of the first log.
const EVENTS: u64 = 30_000;

/// The stored offsets lie beyond the end of the new log.
pub(super) async fn shorter(site: Arc<Site>, rng: StdRng) -> Result<Hits> {
    recreated(site, rng, EVENTS / 5).await
}

/// The stored offsets lie inside the new log: by its offsets alone it looks like the old one.
pub(super) async fn longer(site: Arc<Site>, rng: StdRng) -> Result<Hits> {
    recreated(site, rng, EVENTS * 2).await
}

async fn recreated(site: Arc<Site>, mut rng: StdRng, events: u64) -> Result<Hits> {
    let mut hits = Hits::new();
    let assignor = if rng.random_bool(0.5) { "range" } else { "cooperative-sticky" };
    for protocol in ["consumer", "classic"] {
        let settings = Settings { protocol, assignor, ..Settings::default() };
        let mut trial = Trial::idle(&site, settings, 2).await?;
        let old = send(&mut trial, EVENTS).await?;
        trial.plant.drained(HEAL).await?;

        recreate(&trial.plant).await?;
        let new = send(&mut trial, events).await?;
        let all: Vec<i32> = (0..trial.plant.settings.partitions).collect();
        quarantined(&trial.plant, &all).await;
        alerted(&trial.plant, &all, "re-created").await;
        let rows = rows_in(&trial.plant, &new, &all).await?;
        ensure!(rows == 0, "{rows} rows of a log that nobody adopted");
        trial.hit_with_protocol("topic re-created");

        let group = trial.plant.group.clone();
        offsets(&trial.plant, &["adopt", "--group", &group]).await?;
        trial.plant.drained(HEAL).await?;
        oracle::rows_are_exact(&trial.plant, &old).await?;
        oracle::rows_are_exact(&trial.plant, &new).await?;
        trial.verified(0).await?;
        trial.hit_with_protocol("new log adopted");
        hits.extend(trial.passed());
    }
    Ok(hits)
}

/// Deletes the topic of a plant and makes it again.
pub(in crate::scenario) async fn recreate(plant: &Plant) -> Result<()> {
    let (admin, options) = admin(plant)?;
    accepted(admin.delete_topics(&[&plant.topic], &options).await?)?;
    let inspector = plant.inspector();
    wait_until(Duration::from_secs(30), "the topic is gone", async || {
        matches!(inspector.topic(&plant.topic).await, Err(kafka::inspector::Error::NoSuchTopic { .. }))
    })
    .await;
    plant.create_topic().await?;
    wait_until(Duration::from_secs(30), "the topic is there again", async || plant.log_ends().await.is_ok()).await;
    Ok(())
}
