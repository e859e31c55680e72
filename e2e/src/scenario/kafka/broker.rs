//! A broker dies, or freezes, and comes back.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::plant::Site;
use crate::scenario::Hits;
use crate::scenario::process::any_protocol;
use crate::scenario::trial::Trial;

/// Until all replicas are in sync again.
const HEALTHY: Duration = Duration::from_secs(90);

pub(super) async fn killed(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        let victim = rng.random_range(1..=3);
        kill_for_a_while(&site, victim, &mut rng).await?;
        trial.hit_with_protocol("broker kill -9");
    }
    trial.owned().await;
    trial.judged().await
}

pub(super) async fn coordinator_killed(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        let victim = site.kafka.coordinator_of(&trial.plant.group).await?;
        kill_for_a_while(&site, victim, &mut rng).await?;
        trial.hit_with_protocol("coordinator kill -9");
    }
    trial.owned().await;
    trial.judged().await
}

async fn kill_for_a_while(site: &Site, id: i32, rng: &mut StdRng) -> Result<()> {
    site.kafka.broker(id).kill();
    tokio::time::sleep(Duration::from_millis(rng.random_range(500..5_000))).await;
    site.kafka.broker(id).start()?;
    site.kafka.wait_until_healthy(HEALTHY).await;
    Ok(())
}

/// Long enough for the other two to take over, and for it to wake up as one that leads nothing.
pub(super) async fn frozen(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        let victim = site.kafka.broker(rng.random_range(1..=3));
        victim.pause()?;
        tokio::time::sleep(Duration::from_secs(8)).await;
        victim.resume()?;
        site.kafka.wait_until_healthy(HEALTHY).await;
        trial.hit_with_protocol("broker SIGSTOP 8 s");
    }
    trial.owned().await;
    trial.judged().await
}
