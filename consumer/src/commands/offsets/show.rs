//! `consumer offsets show`. It works without Kafka, too: then the log's side is left out.

use std::collections::HashMap;

use kafka::Inspector;
use kafka::inspector::{Bounds, Error, TopicView};
use lifecycle::exit;
use store::offsets::{Stored, all};

use super::super::table::Table;
use super::super::{CLIENT_ID, Failure, open};
use super::Place;

/// Prints a line per stored offset, and why the quarantined ones are.
pub(super) async fn run(place: Place, partitions: &[i32]) -> Result<u8, Failure> {
    let inspector = Inspector::new(&place.kafka, CLIENT_ID).map_err(Failure::Usage)?;
    let store = open(&place.store).await?;
    let mut stored = all(&store, &place.target).await?;
    stored.retain(|s| s.topic == place.topic && (partitions.is_empty() || partitions.contains(&s.partition)));
    let log = match ask(&inspector, &place.topic, &stored).await {
        Ok(log) => Some(log),
        Err(error) => {
            eprintln!("consumer: the log's side is unknown: {error}");
            None
        }
    };
    print!("{}", table(&stored, log.as_ref()));
    for s in stored.iter().filter(|s| s.quarantine_reason.is_some()) {
        let since = s.quarantined_at.map_or_else(|| "?".into(), |at| at.to_string());
        let reason = s.quarantine_reason.as_deref().unwrap_or_default();
        println!("{} (log {}) partition {}: quarantined since {since}: {reason}", s.topic, s.log_id, s.partition);
    }
    Ok(exit::OK)
}

/// The log that carries the topic's name now.
struct Log {
    view: TopicView,
    bounds: HashMap<i32, Bounds>,
}

async fn ask(inspector: &Inspector, topic: &str, stored: &[Stored]) -> Result<Log, Error> {
    let view = inspector.topic(topic).await?;
    let here =
        |s: &&Stored| s.topic_id == view.topic_id && usize::try_from(s.partition).is_ok_and(|p| p < view.partitions);
    let partitions: Vec<i32> = stored.iter().filter(here).map(|s| s.partition).collect();
    let bounds = inspector.bounds(topic, &partitions).await?;
    Ok(Log { view, bounds })
}

fn table(stored: &[Stored], log: Option<&Log>) -> Table {
    let mut table =
        Table::new(&["topic", "state", "group", "owner", "log", "partition", "next", "log start", "log end", "lag"], 4);
    for s in stored {
        let current = log.filter(|log| log.view.topic_id == s.topic_id);
        let bounds = current.and_then(|log| log.bounds.get(&s.partition));
        let state = match (&s.quarantine_reason, log, current) {
            (Some(_), _, _) => "quarantined",
            (None, Some(_), None) => "former log",
            _ => "stored",
        };
        let number = |of: fn(&Bounds) -> i64| bounds.map_or_else(|| "-".into(), |b| of(b).to_string());
        table.row([
            s.topic.clone(),
            state.into(),
            s.group_id.clone(),
            s.owner.clone(),
            s.log_id.to_string(),
            s.partition.to_string(),
            s.next_offset.to_string(),
            number(|b| b.start),
            number(|b| b.end),
            bounds.map_or_else(|| "-".into(), |b| (b.end - s.next_offset).max(0).to_string()),
        ]);
    }
    table
}
