//! The journal as a scenario asks it: what was seen in a time, and whether all of it has arrived.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use testkit::wait_until;

use super::process::id;
use crate::plant::Plant;

/// Most consumers that a scenario runs.
const CONSUMERS: usize = 9;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who saw it.
    pub consumer_id: String,
    /// `assigned`, `revoked`, …
    pub event_type: String,
    /// The partition.
    pub partition: Option<i32>,
    /// The reason.
    pub detail: Option<String>,
}

/// Events that consumers saw from one moment to before another, by their clocks, which are ours.
///
/// # Errors
/// When the database is away.
pub async fn between(plant: &Plant, from: Timestamp, to: Timestamp) -> Result<Vec<Event>> {
    let rows = plant
        .connect()
        .await?
        .query(
            "SELECT consumer_id, event_type, partition_number, detail FROM rebalancing_events \
              WHERE timestamp >= $1 AND timestamp < $2 ORDER BY timestamp",
            &[&from, &to],
        )
        .await?;
    let events = rows.iter().map(|row| Event {
        consumer_id: row.get(0),
        event_type: row.get(1),
        partition: row.get(2),
        detail: row.get(3),
    });
    Ok(events.collect())
}

/// How many events of a type are in the spool files of a consumer: known without the database.
pub fn spooled(plant: &Plant, consumer_id: &str, event_type: &str) -> usize {
    let wanted = format!("\"event_type\":\"{event_type}\"");
    let files = spool_files(plant, consumer_id);
    let count = |file: PathBuf| std::fs::read_to_string(file).unwrap_or_default().matches(&wanted).count();
    files.into_iter().map(count).sum()
}

/// Waits until every event that was spooled so far is in the database, and no process's sequence
/// has a hole.
pub async fn arrived(plant: &Plant) {
    wait_until(Duration::from_secs(40), "the whole journal is in the database", async || {
        complete(plant).await.unwrap_or(false)
    })
    .await;
}

async fn complete(plant: &Plant) -> Result<bool> {
    let client = plant.connect().await?;
    for file in (1..=CONSUMERS).flat_map(|number| spool_files(plant, &id(number))) {
        let spooled = std::fs::read_to_string(&file).unwrap_or_default().lines().count();
        let boot = file.file_stem().and_then(|stem| stem.to_str()).and_then(|stem| stem.get("journal-".len()..44));
        let row = client
            .query_one("SELECT count(*) FROM rebalancing_events WHERE boot_id::text = $1", &[&boot.unwrap_or_default()])
            .await?;
        if row.get::<_, i64>(0) < i64::try_from(spooled)? {
            return Ok(false);
        }
    }
    let holes = client
        .query_one(
            "SELECT count(*) FROM (SELECT 1 FROM rebalancing_events GROUP BY boot_id \
               HAVING min(boot_sequence) <> 0 OR max(boot_sequence) + 1 <> count(*)) s",
            &[],
        )
        .await?;
    Ok(holes.get::<_, i64>(0) == 0)
}

fn spool_files(plant: &Plant, consumer_id: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(plant.consumer_dir(consumer_id).join("journal")).into_iter().flatten();
    entries.flatten().map(|entry| entry.path()).filter(|path| path.extension().is_some_and(|e| e == "jsonl")).collect()
}
