//! Asks Kafka once a second: brokers, leaders, replicas, and how far each partition's log goes, of all watched topics.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kafka::Inspector;
use lifecycle::Shutdown;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{debug, info, warn};

use crate::facts::Facts;

const ASK_EVERY: Duration = Duration::from_secs(1);
/// Settings change rarely.
const RETENTION_EVERY: Duration = Duration::from_secs(60);

/// Asks until it is told to stop.
///
/// # Errors
/// None: a cluster that does not answer is a fact like another.
pub async fn watch(inspector: Inspector, facts: watch::Sender<Facts>, stop: Shutdown) -> Result<(), Infallible> {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let workloads = Arc::clone(&facts.borrow().workloads);
    let topics: Vec<&str> = workloads.iter().map(|workload| &*workload.topic).collect();
    let mut answered = None;
    let mut retention_due = Instant::now();
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let asked_at = Timestamp::now();
        let answer = tokio::select! {
            () = stop.requested() => return Ok(()),
            answer = inspector.survey(&topics) => answer.map_err(|error| error.to_string()),
        };
        match &answer {
            Ok(_) if answered != Some(true) => info!("kafka is there"),
            Err(error) if answered != Some(false) => warn!(error, "kafka does not answer"),
            _ => {}
        }
        answered = Some(answer.is_ok());
        if answer.is_ok() && retention_due <= Instant::now() {
            retention_due = Instant::now() + RETENTION_EVERY;
            let retention = tokio::select! {
                () = stop.requested() => return Ok(()),
                retention = retention(&inspector, &topics) => retention,
            };
            facts.send_modify(|facts| Arc::make_mut(&mut facts.retention).extend(retention));
        }
        facts.send_modify(|facts| facts.cluster.note(asked_at, answer));
    }
}

/// How long each of them keeps its records, as far as that is told.
async fn retention(inspector: &Inspector, topics: &[&str]) -> BTreeMap<String, Option<Duration>> {
    let mut told = BTreeMap::new();
    for &topic in topics {
        match inspector.retention(topic).await {
            Ok(retention) => drop(told.insert(topic.to_owned(), retention)),
            Err(error) => debug!(topic, %error, "the topic's retention is not known"),
        }
    }
    told
}
