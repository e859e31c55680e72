//! `producer sensor`: a simulated plant at a steady rate.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use lifecycle::Shutdown;
use tokio::time::{Instant, sleep_until};

use crate::{
    pace::Pace,
    plant::Plant,
    publisher::{Error, Measurement, Published, Publisher},
    tally::Tally,
};

/// At high rates events are made in groups this far apart, not one by one.
const SHORTEST_SLEEP: Duration = Duration::from_millis(2);

/// After so many events in a row others get their turn.
const TURN: u64 = 500;

/// The plant and how often it is read.
#[derive(Debug)]
pub struct Simulation {
    /// What is read.
    pub plant: Plant,
    /// How often, over all sensors.
    pub pace: Pace,
}

impl Simulation {
    /// Reads the plant and publishes until it is told to stop.
    ///
    /// # Errors
    /// When the client takes nothing any more.
    pub async fn run(mut self, publisher: &mut Publisher, tally: &Arc<Tally>, stop: &Shutdown) -> Result<(), Error> {
        let start = Instant::now();
        loop {
            let due = self.pace.due(start.elapsed());
            tally.skipped(due.skipped);
            for number in 0..due.events {
                if number % TURN == TURN - 1 {
                    tokio::task::yield_now().await;
                }
                if stop.is_requested() || self.publish_next(publisher, stop).await? == Published::Stopped {
                    return Ok(());
                }
            }
            let soonest = Instant::now() + SHORTEST_SLEEP;
            tokio::select! {
                () = stop.requested() => return Ok(()),
                () = sleep_until((start + self.pace.next_at()).max(soonest)) => {}
            }
        }
    }

    async fn publish_next(&mut self, publisher: &mut Publisher, stop: &Shutdown) -> Result<Published, Error> {
        let Some(sample) = self.plant.sample() else {
            return Ok(Published::Queued);
        };
        let measurement = Measurement {
            sensor_id: sample.sensor_id,
            sensor_type: sample.sensor_type,
            unit: sample.unit,
            value: sample.value,
            event_time: now(),
        };
        publisher.publish(&measurement, stop).await
    }
}

/// To the microsecond, which is what is stored.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
}
