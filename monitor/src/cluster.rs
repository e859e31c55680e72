//! Asks Kafka once a second: brokers, leaders, replicas, and how far each partition's log goes.

use std::{convert::Infallible, time::Duration};

use jiff::Timestamp;
use kafka::Inspector;
use lifecycle::Shutdown;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use crate::facts::Facts;

const ASK_EVERY: Duration = Duration::from_secs(1);

/// Asks until it is told to stop.
///
/// # Errors
/// None: a cluster that does not answer is a fact like another.
pub async fn watch(
    inspector: Inspector,
    topic: String,
    facts: watch::Sender<Facts>,
    stop: Shutdown,
) -> Result<(), Infallible> {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut answered = None;
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let asked_at = Timestamp::now();
        let answer = tokio::select! {
            () = stop.requested() => return Ok(()),
            answer = inspector.survey(&topic) => answer.map_err(|error| error.to_string()),
        };
        match &answer {
            Ok(_) if answered != Some(true) => info!("kafka is there"),
            Err(error) if answered != Some(false) => warn!(error, "kafka does not answer"),
            _ => {}
        }
        answered = Some(answer.is_ok());
        facts.send_modify(|facts| facts.cluster.note(asked_at, answer));
    }
}
