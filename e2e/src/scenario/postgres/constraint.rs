//! A constraint of the target refuses rows: a few are bad records, all of them are not.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use rand::rngs::StdRng;
use testkit::wait_until;

use crate::oracle;
use crate::plant::{Plant, Site};
use crate::scenario::process::any_protocol;
use crate::scenario::trial::Trial;
use crate::scenario::{HEAL, Hits};

/// One in this many rows is refused.
const REFUSED_EVERY: u64 = 5_000;
/// Dead letters that a wrong table may cost before it is recognised as such.
const HANDFUL: i64 = 100;

/// The refused rows become letters that name the constraint, and everything else is stored.
pub(super) async fn some_rows(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::idle(&site, any_protocol(&mut rng), 2).await?;
    let check = format!("sequence % {REFUSED_EVERY} <> 7");
    constrain(&trial.plant, "no_sevens", &check).await?;
    trial.load(60_000, 0)?;
    let mut report = trial.sent(60_000).await?;
    trial.plant.drained(HEAL).await?;

    let refused: BTreeSet<u64> = (0..report.sent).filter(|sequence| sequence % REFUSED_EVERY == 7).collect();
    let letters: BTreeSet<u64> = trial
        .plant
        .connect()
        .await?
        .query(
            "SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'sequence')::bigint FROM dead_letters \
              WHERE reason_code = 'refused_by_database' AND reason LIKE '%no_sevens%'",
            &[],
        )
        .await?
        .iter()
        .map(|row| row.get::<_, i64>(0).unsigned_abs())
        .collect();
    ensure!(letters == refused, "refused {refused:?}, but the letters are {letters:?}");
    ensure!(letter_count(&trial.plant).await? == i64::try_from(refused.len())?, "there are other letters");
    for _ in &refused {
        trial.hit("row refused by a constraint");
    }
    // A letter in the place of its row.
    report.unacknowledged.extend(refused);
    oracle::judge(&trial.plant, &report, HEAL).await?;
    Ok(trial.passed())
}

/// Every row refused: that is the table's fault. Partitions are paused with the reason, letters
/// are few, and all is stored once the constraint is gone.
pub(super) async fn every_row(site: Arc<Site>, mut rng: StdRng) -> Result<Hits> {
    let mut trial = Trial::begin(&site, any_protocol(&mut rng), 2).await?;
    for _ in 0..2 {
        trial.progress(&mut rng).await?;
        trial.resumed().await;
        constrain(&trial.plant, "nothing", "false").await?;
        trial.paused().await;
        wait_until(Duration::from_secs(20), "the reason is shown", async || {
            reasons(&trial.plant).await.is_ok_and(|shown| shown > 0)
        })
        .await;
        let letters = letter_count(&trial.plant).await?;
        ensure!(letters <= HANDFUL, "{letters} dead letters for a table that refuses everything");
        let client = trial.plant.connect().await?;
        client.batch_execute("ALTER TABLE sensor_readings DROP CONSTRAINT nothing").await?;
        trial.hit("every row refused");
    }
    trial.progress(&mut rng).await?;
    let mut report = trial.load_finished().await?;
    trial.plant.drained(HEAL).await?;
    // The few that were isolated before the table was suspected are letters, none is lost.
    let letters = letter_sequences(&trial.plant).await?;
    report.unacknowledged.extend(letters);
    oracle::judge(&trial.plant, &report, HEAL).await?;
    Ok(trial.passed())
}

async fn constrain(plant: &Plant, name: &str, check: &str) -> Result<()> {
    let client = plant.connect().await?;
    let add = format!("ALTER TABLE sensor_readings ADD CONSTRAINT {name} CHECK ({check}) NOT VALID");
    Ok(client.batch_execute(&add).await?)
}

async fn letter_count(plant: &Plant) -> Result<i64> {
    Ok(plant.connect().await?.query_one("SELECT count(*) FROM dead_letters", &[]).await?.get(0))
}

async fn letter_sequences(plant: &Plant) -> Result<Vec<u64>> {
    let query = "SELECT (convert_from(payload, 'UTF8')::jsonb ->> 'sequence')::bigint FROM dead_letters";
    let rows = plant.connect().await?.query(query, &[]).await?;
    Ok(rows.iter().map(|row| row.get::<_, i64>(0).unsigned_abs()).collect())
}

/// Partitions that are shown as paused, with the refusal as the reason.
async fn reasons(plant: &Plant) -> Result<i64> {
    let row = plant
        .connect()
        .await?
        .query_one(
            "SELECT count(*) FROM consumer_health, jsonb_array_elements(partition_states) p \
              WHERE p ->> 'state' = 'paused' AND p ->> 'reason' LIKE '%refused%'",
            &[],
        )
        .await?;
    Ok(row.get(0))
}
