//! The lost COMMIT: cut before the server has it, cut after it committed, held and delivered late.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::RngExt as _;
use rand::rngs::StdRng;
use testkit::{Answer, Arming, Fault};

use crate::plant::Site;
use crate::scenario::Hits;
use crate::scenario::process::any_protocol;
use crate::scenario::trial::Trial;

/// An armed fault is met within this time.
const HIT: Duration = Duration::from_secs(30);
/// How long a COMMIT is held back: longer than a claim waits for the lock.
const HOLD: Duration = Duration::from_secs(5);

pub(super) async fn lost(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 2).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        let cut = Arming::new(Fault::CutBeforeCommit).of_copies().skip(rng.random_range(0..10));
        trial.plant.proxy.arm(cut).hit(HIT).await;
        trial.hit("cut before the server has the COMMIT");

        trial.progress(&mut rng).await?;
        let cut = Arming::new(Fault::CutAfterCommit).of_copies().skip(rng.random_range(0..10));
        let answer = trial.plant.proxy.arm(cut).settled(HIT).await;
        ensure!(answer == Answer::Committed, "the server was to commit: {answer:?}");
        trial.hit("cut after the server committed");
    }
    trial.judged().await
}

/// The transaction stays open on the server while the consumer is back and claims: the claim ends
/// its backend, so the COMMIT that comes 5 s late finds nobody.
pub(super) async fn held(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 2).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        let hold = Arming::new(Fault::HoldCommit(HOLD)).of_copies().skip(rng.random_range(0..10));
        let hit = trial.plant.proxy.arm(hold);
        hit.hit(HIT).await;
        let connections = trial.plant.proxy.connections();
        let answer = hit.settled(HIT).await;
        ensure!(answer != Answer::Committed, "the claim waited for a COMMIT that came {HOLD:?} late");
        ensure!(trial.plant.proxy.connections() > connections, "the consumer was not back before the COMMIT came");
        trial.hit("COMMIT delivered after the consumer came back");
    }
    trial.progress(&mut rng).await?;
    trial.judged().await
}

pub(super) async fn cut_in_copy(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 2).await?;
    for _ in 0..3 {
        trial.progress(&mut rng).await?;
        let cut = Fault::CutInCopy { after_bytes: rng.random_range(0..20_000) };
        let cut = Arming::new(cut).skip(rng.random_range(0..10));
        trial.plant.proxy.arm(cut).settled(HIT).await;
        trial.hit("cut in COPY");
    }
    trial.progress(&mut rng).await?;
    trial.judged().await
}
