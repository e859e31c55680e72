//! Records that are no events: each becomes a dead letter with its bytes, and holds nobody up.

use std::sync::Arc;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;

use crate::oracle;
use crate::plant::Site;
use crate::scenario::process::any_protocol;
use crate::scenario::trial::Trial;
use crate::scenario::{HEAL, Hits};

pub(super) async fn some(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::idle(&site, any_protocol(&mut rng), 2).await?;
    trial.load(60_000, 10_000)?;
    let report = trial.sent(60_000).await?;
    oracle::judge(&trial.plant, &report, HEAL).await?;
    for _ in 0..report.poison() {
        trial.hit("poison among events");
    }
    Ok(trial.passed())
}

/// Nothing but poison.
pub(super) async fn all(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::idle(&site, any_protocol(&mut rng), 2).await?;
    trial.load(30_000, 1)?;
    let report = trial.sent(30_000).await?;
    oracle::judge(&trial.plant, &report, HEAL).await?;
    let batches = trial
        .plant
        .connect()
        .await?
        .query_one("SELECT count(DISTINCT stored_at) FROM batch_ledger WHERE stored_rows = 0 AND dead_letters > 0", &[])
        .await?
        .get::<_, i64>(0);
    ensure!(batches >= 2, "{batches} batches of nothing but poison");
    for _ in 0..batches {
        trial.hit("batch of nothing but poison");
    }
    Ok(trial.passed())
}
