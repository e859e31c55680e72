//! Faults of the database: killed, restarted, full, read-only, cut off, put back, dead for long.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use jiff::Timestamp;
use rand::RngExt as _;
use rand::rngs::StdRng;
use testkit::PostgresOptions;

use super::process::any_protocol;
use super::trial::Trial;
use super::{Hits, Scenario, journal};
use crate::plant::{Plant, Settings, Site};

mod commit;
mod constraint;
mod outage;
mod restore;

/// The database lines of the matrix.
pub const SCENARIOS: &[Scenario] = &[
    Scenario { name: "Postgres kill -9", run: |site, rng| Box::pin(killed(site, rng)) },
    Scenario { name: "Postgres restarted", run: |site, rng| Box::pin(restarted(site, rng)) },
    Scenario { name: "Postgres disk full", run: |site, rng| Box::pin(disk_full(site, rng)) },
    Scenario { name: "Postgres read-only", run: |site, rng| Box::pin(read_only(site, rng)) },
    Scenario { name: "COMMIT lost", run: |site, rng| Box::pin(commit::lost(site, rng)) },
    Scenario { name: "COMMIT held 5 s", run: |site, rng| Box::pin(commit::held(site, rng)) },
    Scenario { name: "connection cut in COPY", run: |site, rng| Box::pin(commit::cut_in_copy(site, rng)) },
    Scenario { name: "scale 1 -> 3 -> 2 without Postgres", run: |site, rng| Box::pin(outage::scaled(site, rng)) },
    Scenario { name: "half a minute without Postgres", run: |site, rng| Box::pin(outage::long(site, rng)) },
    Scenario {
        name: "Postgres restored from an older copy",
        run: |site, rng| Box::pin(restore::older_copy(site, rng)),
    },
    Scenario { name: "constraint refuses some rows", run: |site, rng| Box::pin(constraint::some_rows(site, rng)) },
    Scenario { name: "constraint refuses every row", run: |site, rng| Box::pin(constraint::every_row(site, rng)) },
];

/// Lets some time pass that the seed picks, ms: how long a fault lasts.
async fn pause(rng: &mut StdRng, range_ms: Range<u64>) {
    tokio::time::sleep(Duration::from_millis(rng.random_range(range_ms))).await;
}

async fn killed(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        pause(&mut rng, 0..300).await;
        site.postgres.kill();
        pause(&mut rng, 0..1_500).await;
        site.postgres.start_again().await?;
        trial.hit("Postgres kill -9");
    }
    trial.progress(&mut rng).await?;
    trial.judged().await
}

async fn restarted(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 3).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        pause(&mut rng, 0..300).await;
        site.postgres.restart().await?;
        trial.hit("Postgres restarted");
    }
    trial.progress(&mut rng).await?;
    trial.judged().await
}

/// A session that a busy machine does not break, and as long as the poll interval: whoever did not
/// poll for as long would be thrown out of the group.
const PATIENT_MS: u32 = 10_000;

/// A small file system, full for longer than a poll interval: nobody is thrown out of the group. The
/// server may end itself when it can't write its log; it is then started as an administrator would.
async fn disk_full(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let settings = [("max_wal_size", "96MB"), ("min_wal_size", "32MB"), ("shared_buffers", "64MB")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let site = site
        .beside(PostgresOptions { disk_mib: Some(768), settings: settings.into(), ..PostgresOptions::default() })
        .await?;
    let mut trial = Trial::begin(&site, Settings { session_ms: PATIENT_MS, ..any_protocol(&mut rng) }, 2).await?;
    for full_ms in [PATIENT_MS + 1_000, 1_000] {
        trial.progress(&mut rng).await?;
        trial.resumed().await;
        let full_at = Timestamp::now();
        site.postgres.fill_disk()?;
        trial.paused().await;
        tokio::time::sleep(Duration::from_millis(full_ms.into())).await;
        let freed_at = Timestamp::now();
        site.postgres.free_disk()?;
        while site.postgres.start_again().await.is_err() {
            ensure!(!site.postgres.is_running(), "a Postgres that runs does not answer");
        }
        trial.hit("disk full");
        trial.progress(&mut rng).await?;
        nobody_moved(&trial.plant, full_at, freed_at).await?;
    }
    trial.judged().await
}

/// Sessions are ended and the next ones can't write, for longer than a poll interval.
async fn read_only(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, Settings { session_ms: PATIENT_MS, ..any_protocol(&mut rng) }, 2).await?;
    for read_only_ms in [PATIENT_MS + 1_000, 1_000] {
        trial.progress(&mut rng).await?;
        let from = Timestamp::now();
        site.postgres.set_read_only(&trial.plant.database, true).await?;
        let before = trial.stored_offsets().await?;
        tokio::time::sleep(Duration::from_millis(read_only_ms.into())).await;
        let stored = trial.stored_offsets().await? - before;
        ensure!(stored == 0, "{stored} records were stored in a read-only database");
        let to = Timestamp::now();
        site.postgres.set_read_only(&trial.plant.database, false).await?;
        trial.hit("read-only");
        trial.progress(&mut rng).await?;
        nobody_moved(&trial.plant, from, to).await?;
    }
    trial.judged().await
}

/// No consumer was assigned, revoked or lost anything in that time.
async fn nobody_moved(plant: &Plant, from: Timestamp, to: Timestamp) -> Result<()> {
    journal::arrived(plant).await;
    let moved = |event: &journal::Event| matches!(event.event_type.as_str(), "assigned" | "revoked" | "lost");
    let moves: Vec<_> = journal::between(plant, from, to).await?.into_iter().filter(moved).collect();
    ensure!(moves.is_empty(), "partitions moved while the database was away: {moves:?}");
    Ok(())
}
