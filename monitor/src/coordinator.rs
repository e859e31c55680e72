//! Asks each group's coordinator twice a second how it describes the group.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kafka::Inspector;
use lifecycle::Shutdown;
use tokio::sync::{Notify, watch};
use tokio::time::{MissedTickBehavior, interval};
use tracing::debug;

use crate::facts::{Facts, GroupAnswer};

const ASK_EVERY: Duration = Duration::from_millis(500);

/// Asks until it is told to stop; `changed` is woken when an answer is another one.
///
/// # Errors
/// None: a coordinator that does not answer leaves its last answer standing.
pub async fn watch(
    inspector: Inspector,
    facts: watch::Sender<Facts>,
    changed: Arc<Notify>,
    stop: Shutdown,
) -> Result<(), Infallible> {
    let mut ticks = interval(ASK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.requested() => return Ok(()),
            _ = ticks.tick() => {}
        }
        let known = facts.borrow().groups_read();
        for (group, topic) in known {
            let asked = Instant::now();
            let answer = tokio::select! {
                () = stop.requested() => return Ok(()),
                answer = inspector.group(&group, &topic) => answer,
            };
            match answer {
                Ok(description) => {
                    let new = GroupAnswer { asked, still_otherwise: asked, description };
                    if note(&facts, &group, new) {
                        changed.notify_one();
                    }
                }
                Err(error) => debug!(group, %error, "the coordinator did not describe its group"),
            }
        }
    }
}

/// Takes in an answer; whether it differs from the one before it.
fn note(facts: &watch::Sender<Facts>, group: &str, mut new: GroupAnswer) -> bool {
    let mut differs = true;
    facts.send_modify(|facts| {
        let groups = Arc::make_mut(&mut facts.groups);
        if let Some(old) = groups.get(group) {
            differs = old.description != new.description;
            new.still_otherwise = if differs { old.asked } else { old.still_otherwise };
        }
        groups.insert(group.to_owned(), new);
    });
    differs
}
